// The floor: the upstream's response is returned untouched, so workerd moves the bytes natively and no JS runs per chunk.
export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    return fetch(new Request(env.UPSTREAM + pathname, request));
  },
};
