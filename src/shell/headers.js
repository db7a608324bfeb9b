/** The headers whose name begins so, name and value in turn: one crossing into wasm, and not one a header. */
export function withPrefix(headers, prefix) {
  const found = [];
  for (const [name, value] of headers) if (name.startsWith(prefix)) found.push(name, value);
  return found;
}

/** Where SDKs put their keys, a virtual one among them; outside.rs knows the same names. */
const KEYS = new Set(['api-key', 'authorization', 'x-api-key', 'x-goog-api-key']);

/**
 * The headers that speak to the gateway, name and value in turn, and those with keys; nothing when there are none. They are looked
 * for in one pass over the names: a dozen questions, one crossing each, cost more than all that a plain request needs.
 */
export function marked(headers) {
  let found;
  for (const name of headers.keys()) if (name.startsWith('x-bf-') || name === 'anthropic-beta' || KEYS.has(name)) (found ??= []).push(name, headers.get(name));
  return found;
}

/** Takes headers out and sets others, given as lines of a name and its value in turn: one crossing, and not one a header. */
export function change(headers, without, lines) {
  for (const name of without) headers.delete(name);
  if (!lines) return;
  const parts = lines.split('\n');
  for (let i = 0; i + 1 < parts.length; i += 2) headers.set(parts[i], parts[i + 1]);
}
