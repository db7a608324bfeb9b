// Moves a stream through a translator: one write for each read, and no read before the write is through.
// Each promise, buffer and crossing into wasm has its price per chunk: see docs/architecture.md.

const BUFFER_BYTES = 16384;
/** Ticks of the timer in the time that a stream may be silent. */
const TICKS = 4;
/** Why the translator is called; pump.rs knows the same numbers. */
const CHUNK = 0, CLOSED = 1, BROKEN = 2, IDLE = 3, RELEASE = 4;

/** The `worker` crate's record of the wasm instance: a panic marks it, and the instance after that has another number. */
const instance = () => globalThis.__worker_init_state;

/** What the translator has written: a view of wasm's memory, good until wasm runs again. */
let written;
export function emit(bytes) { written = bytes; }

/**
 * The stream that `translate(why, chunk)` makes of `head` and what `reader` has not read. It emits at most once a call and returns whether that was all, or,
 * where that was all but something must happen before it goes out, a promise of it.
 */
export function pump(head, reader, translate, idleMs) {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  // Both buffers serve every chunk: the bytes read are wasm's when the call returns, and those written are gone before the next call.
  const output = new Uint8Array(BUFFER_BYTES);
  let input = new ArrayBuffer(BUFFER_BYTES);
  const born = instance().instanceId;
  let timer, reading = false, ended = false, released = false, silentTicks = 0;

  function read() {
    reading = true;
    silentTicks = 0;
    reader.read(new Uint8Array(input)).then(onRead, onReadFailed);
  }

  function onRead({ done, value }) {
    if (ended) return;
    if (done) return end(CLOSED);
    input = value.buffer;
    step(CHUNK, value);
  }

  function onReadFailed() {
    if (!ended) end(BROKEN);
  }

  /** The bytes have ended, one way or another: the translator says the last word. */
  function end(why) {
    ended = true;
    step(why);
  }

  function step(why, chunk) {
    reading = false;
    written = undefined;
    let last;
    try {
      if (!isAlive()) throw new Error('a panic elsewhere has ended this stream');
      last = translate(why, chunk);
    } catch (error) {
      // The caller must see a cut and not wait for ever.
      translate = ignore;
      writer.abort(error).catch(ignore);
      release(error);
      throw error;
    }
    if (typeof last === 'object') {
      // Others use wasm's memory while this waits.
      const bytes = written?.slice();
      last.then(() => write(bytes, close));
    } else {
      write(written && copied(written), last ? close : read);
    }
  }

  function write(bytes, next) {
    if (bytes) writer.write(bytes).then(next, release);
    else next();
  }

  function copied(bytes) {
    if (bytes.length > output.length) return bytes.slice();
    output.set(bytes);
    return output.subarray(0, bytes.length);
  }

  function close() {
    writer.close().catch(ignore);
    release('the answer is whole');
  }

  /** Lets go of everything; the upstream is cancelled, which does nothing to one that has ended. */
  function release(reason) {
    if (released) return;
    ended = released = true;
    clearTimeout(timer);
    reader?.cancel(reason).catch(ignore);
    if (isAlive()) translate(RELEASE);
  }

  /** After a panic `translate` would lead into another instance's memory. */
  function isAlive() {
    const { criticalError, instanceId } = instance();
    return !criticalError && instanceId === born;
  }

  /** One timer for the whole stream, and no look at the clock for each chunk: silence ends it after TICKS to TICKS + 1 ticks. */
  function tick() {
    if (reading && ++silentTicks > TICKS) end(IDLE);
    else arm();
  }

  function arm() {
    timer = setTimeout(tick, Math.ceil(idleMs / TICKS));
  }

  writer.closed.catch(release);
  arm();
  if (head.byteLength) step(CHUNK, head);
  else if (reader) read();
  else end(CLOSED);
  return readable;
}

function ignore() {}
