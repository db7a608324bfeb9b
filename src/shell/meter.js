// Lets an answer through untouched and reads a copy of it once it is over: chunks that nobody touches cost next to nothing, and a
// copy that is read while they pass would hold them back. See docs/passthrough.md.

/** The `worker` crate's record of the wasm instance: after a panic `tell` would lead into another instance's memory. */
const instance = () => globalThis.__worker_init_state;

const now = Symbol('nothing there yet');
const later = () => new Promise((resolve) => setTimeout(resolve, 0, now));

/**
 * What the caller reads of `source`, and a promise that `tell(bytes, whole)` has been called: with what was seen of it, or with
 * nothing if it was more than `limit`. What waits to be read is taken out every `drainMs`, so that it does not pile up.
 */
export function meter(source, length, limit, drainMs, tell) {
  const [passing, copy] = source.tee();
  const { readable, writable } = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const born = instance().instanceId;
  let reader, pending, size = 0, pieces = [], timer;

  function keep(piece) {
    size += piece.byteLength;
    if (size > limit) pieces = undefined;
    else pieces?.push(piece);
  }

  /** Takes what is there; with `toEnd`, waits for the rest. */
  async function drain(toEnd) {
    reader ??= copy.getReader();
    for (;;) {
      pending ??= reader.read();
      const found = toEnd ? await pending : await Promise.race([pending, later()]);
      if (found === now) return;
      pending = undefined;
      if (found.done) return;
      keep(found.value);
    }
  }

  async function take(whole) {
    clearTimeout(timer);
    // Mostly nothing was taken out yet, and the runtime hands over everything at once.
    if (whole && !reader) keep(new Uint8Array(await new Response(copy).arrayBuffer()));
    else await drain(whole);
  }

  async function follow() {
    let whole = true;
    try {
      await passing.pipeTo(writable);
    } catch {
      whole = false;
    }
    try {
      await take(whole);
    } catch {
      whole = false;
    }
    // A caller who left must not keep the provider talking.
    if (!whole) await (reader ?? copy).cancel().catch(() => {});
    const { criticalError, instanceId } = instance();
    if (!criticalError && instanceId === born) tell(pieces && joined(pieces), whole);
  }

  function arm() {
    timer = setTimeout(() => drain(false).then(arm, () => {}), drainMs);
  }

  arm();
  return { readable, done: follow() };
}

function joined(pieces) {
  if (pieces.length === 1) return pieces[0];
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
