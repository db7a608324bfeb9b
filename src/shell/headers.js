/** The headers whose name begins so, name and value in turn: one crossing into wasm, and not one a header. */
export function withPrefix(headers, prefix) {
  const found = [];
  for (const [name, value] of headers) if (name.startsWith(prefix)) found.push(name, value);
  return found;
}
