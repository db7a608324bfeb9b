/** A promise that lasts until it is released. */
export class Hold {
  constructor() { this.promise = new Promise((release) => { this.release = release; }); }
}
