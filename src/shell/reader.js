// Reading the beginning of a stream.

/** A first event is shorter than this, mostly. */
const PIECE_BYTES = 4096;

const ignore = () => {};

/** Into buffers of our own: the cheapest that there is, and one reader does for all that follows the beginning, too. */
export const readerOf = (stream) => stream.getReader({ mode: 'byob' });

export const some = (reader) => reader.read(new Uint8Array(PIECE_BYTES));

export function giveUp(reader) { reader.cancel().catch(ignore); }

/** `head` and then `rest`, whose lengths together are `length` if that is known. */
export function joined(head, rest, length) {
  const { readable, writable } = length === undefined ? new IdentityTransformStream() : new FixedLengthStream(length);
  const writer = writable.getWriter();
  writer.write(head.slice()).then(() => { writer.releaseLock(); return rest.pipeTo(writable); }).catch(ignore);
  return readable;
}
