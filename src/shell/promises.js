/** A promise that lasts until it is released. */
export class Hold {
  constructor() { this.promise = new Promise((release) => { this.release = release; }); }
}

/** Microtasks by way of a promise. Wasm needs one each time that it has waited, and the runtime's own way takes ten times as long. */
export function hastenMicrotasks() {
  globalThis.queueMicrotask = (task) => {
    // Told as the runtime's own would tell it: a trap must mark the instance.
    Promise.resolve().then(() => { try { task(); } catch (error) { reportError(error); } });
  };
}

/** What `promise` comes to, or undefined when that takes longer. */
export function within(promise, milliseconds) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    const settle = (how) => (value) => { clearTimeout(timer); how(value); };
    promise.then(settle(resolve), settle(reject));
  });
}
