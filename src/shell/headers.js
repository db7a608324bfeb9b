/** The headers whose name begins so, name and value in turn: one crossing into wasm, and not one a header. */
export function withPrefix(headers, prefix) {
  const found = [];
  for (const [name, value] of headers) if (name.startsWith(prefix)) found.push(name, value);
  return found;
}

/**
 * The headers that speak to the gateway, name and value in turn; nothing when there are none, as in most requests. They are looked
 * for in one pass over the names: a dozen questions, one crossing each, cost more than all that a plain request needs.
 */
export function marked(headers) {
  let found;
  for (const name of headers.keys()) if (name.startsWith('x-bf-') || name === 'anthropic-beta') (found ??= []).push(name, headers.get(name));
  return found;
}
