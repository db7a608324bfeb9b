// What any worker that must see each chunk pays before it does any work: one read and one write per chunk, in plain JS.
async function pump(body, writable) {
  const reader = body.getReader();
  const writer = writable.getWriter();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    await writer.write(value);
  }
  await writer.close();
}

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    const upstream = await fetch(new Request(env.UPSTREAM + pathname, request));
    const { readable, writable } = new IdentityTransformStream();
    ctx.waitUntil(pump(upstream.body, writable));
    return new Response(readable, upstream);
  },
};
