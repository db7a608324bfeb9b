// Lets an answer through untouched and tells of it once it is over. See docs/passthrough.md.

/** The `worker` crate's record of the wasm instance: after a panic `tell` would lead into another instance's memory. */
const instance = () => globalThis.__worker_init_state;

const now = Symbol('nothing there yet');
const later = () => new Promise((resolve) => setTimeout(resolve, 0, now));
const ignore = () => {};

/** What was seen of an answer: its size, and its bytes, in pieces; of one longer than `limit` its beginning and its end, where tokens are told. */
class Copy {
  #pieces = [];
  #limit;
  #end;
  #endSize = 0;
  size = 0;

  constructor(limit) { this.#limit = limit; }

  /** Takes a piece: its memory too, where `isOurs`. */
  keep(piece, isOurs) {
    this.size += piece.byteLength;
    if (!this.isWanted) return;
    if (this.size <= this.#limit) this.#pieces.push(isOurs ? piece : piece.slice());
    else this.#keepEnd(piece);
  }

  #keepEnd(whole) {
    const piece = whole.subarray(Math.max(0, whole.byteLength - BUFFER_BYTES));
    if (!this.#end) {
      this.#end = new Uint8Array(2 * BUFFER_BYTES);
      for (const before of this.#pieces.splice(1)) this.#keepEnd(before);
    }
    if (this.#endSize + piece.byteLength > this.#end.byteLength) {
      this.#end.copyWithin(0, this.#endSize - BUFFER_BYTES, this.#endSize);
      this.#endSize = BUFFER_BYTES;
    }
    this.#end.set(piece, this.#endSize);
    this.#endSize += piece.byteLength;
  }

  get isWanted() { return this.#limit > 0; }

  get pieces() {
    if (!this.isWanted) return undefined;
    return this.#end ? [...this.#pieces, this.#end.subarray(0, this.#endSize)] : this.#pieces;
  }
}

const BUFFER_BYTES = 65536;
/** A buffer that is free: a new one for each answer would be most of the garbage that there is. */
let spare;

function take() {
  const buffer = spare ?? new ArrayBuffer(BUFFER_BYTES);
  spare = undefined;
  return buffer;
}

function give(buffer) {
  if (buffer?.byteLength === BUFFER_BYTES) spare = buffer;
}

/**
 * `second` reads another branch of `source`, and has read `head` of it, where there is one.
 *
 * What the caller reads of `source`, and a promise that `tell(pieces, size, how)` has been called: with what was seen of it, or
 * with its size alone if `limit` is 0, and with how it ended. `signal` tells that the caller has gone.
 */
export function meter(source, second, head, length, limit, isStream, signal, tell) {
  const { readable, writable } = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const born = instance().instanceId;
  const copy = new Copy(limit);
  if (head.byteLength) copy.keep(head);
  const pass = isStream || second ? (...how) => teed(...(second ? [source, second] : branches(source)), ...how) : (...how) => through(source, ...how);
  const follow = async () => {
    const how = await pass(writable, signal, copy).catch(() => BROKEN);
    const { criticalError, instanceId } = instance();
    if (!criticalError && instanceId === born) tell(copy.pieces, copy.size, how);
    give(copy.pieces?.at(-1)?.buffer);
  };
  return { readable, done: follow() };
}

function branches(source) {
  const [passing, second] = source.tee();
  return [passing, second.getReader({ mode: 'byob' })];
}

/** How an answer ends; outside.rs knows the same numbers. */
const WHOLE = 0, LEFT = 1, BROKEN = 2;

/** Whole answers come in few pieces: each is looked at as it passes, in one buffer for all. */
async function through(source, writable, signal, copy) {
  const reader = source.getReader({ mode: 'byob' }), writer = writable.getWriter();
  let buffer = take();
  let isBroken = false, isGone = false;
  const gone = (reason) => { isGone = true; reader.cancel(reason).catch(ignore); writer.abort(reason).catch(ignore); };
  signal.addEventListener('abort', () => gone(signal.reason));
  writer.closed.catch(gone);
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer)).catch((error) => { isBroken = !signal.aborted && !isGone; throw error; });
      if (signal.aborted) return LEFT;
      if (done) {
        give(value?.buffer);
        break;
      }
      copy.keep(value);
      // Written means read by the other side: the buffer is free again.
      await writer.write(value);
      buffer = value.buffer;
    }
    await writer.close();
    return WHOLE;
  } catch (error) {
    gone(error);
    return isBroken ? BROKEN : LEFT;
  }
}

/** How often what waits of a long stream's copy is taken out, so that it does not pile up. */
const DRAIN_MS = 5000;

/**
 * Streams come in many pieces, and looking at each has its price: they pass natively, and a copy is read when they have. Read
 * while they pass, it would hold them back.
 */
async function teed(passing, reader, writable, signal, copy) {
  let pending, timer, draining, isOver = false;

  /** Takes what is there. */
  async function drain() {
    let buffer;
    while (!isOver) {
      pending ??= reader.read(new Uint8Array(buffer ?? take()));
      const found = await Promise.race([pending, later()]);
      if (found === now) return;
      pending = undefined;
      isOver = found.done;
      if (isOver) return;
      copy.keep(found.value);
      buffer = found.value.buffer;
    }
  }

  /** Takes the rest of what has passed as a whole, in few pieces. */
  async function finish() {
    while (!isOver) {
      const { done, value } = await (pending ?? reader.readAtLeast(BUFFER_BYTES, new Uint8Array(take())));
      // Less than was asked for is the last there is.
      isOver = done || (!pending && value.byteLength < BUFFER_BYTES);
      pending = undefined;
      if (value?.byteLength) copy.keep(value, true);
    }
  }

  const arm = () => { timer = setTimeout(() => { draining = drain().then(arm, ignore); }, DRAIN_MS); };
  arm();
  let how = WHOLE;
  try {
    await passing.pipeTo(writable, { signal });
  } catch {
    how = LEFT;
  }
  clearTimeout(timer);
  await draining;
  clearTimeout(timer);
  // Where the caller is still there, it was the provider who broke off; the copy tells, which ends as its source did.
  await (how === WHOLE ? finish() : drain()).catch(() => { if (!signal.aborted) how = BROKEN; });
  // A caller who left must not keep the provider talking.
  if (how !== WHOLE) await reader.cancel().catch(ignore);
  return how;
}
