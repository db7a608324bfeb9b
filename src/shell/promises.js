/** A promise that lasts until it is released. */
export class Hold {
  constructor() { this.promise = new Promise((release) => { this.release = release; }); }
}

/** Microtasks by way of a promise. Wasm needs one each time that it has waited, and the runtime's own way takes ten times as long. */
export function hastenMicrotasks() {
  globalThis.queueMicrotask = (task) => { Promise.resolve().then(task); };
}

/** What `promise` comes to, or undefined when that takes longer. */
export function within(promise, milliseconds) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    const settle = (how) => (value) => { clearTimeout(timer); how(value); };
    promise.then(settle(resolve), settle(reject));
  });
}
