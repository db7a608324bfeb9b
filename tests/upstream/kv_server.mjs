// What stands for the key-value store where the worker runs on workerd alone, which asks for values over HTTP.
import http from 'node:http';

export async function startKv(values = new Map()) {
  const server = http.createServer((incoming, outgoing) => {
    const value = values.get(decodeURIComponent(incoming.url.split('?')[0].slice(1)));
    incoming.resume();
    outgoing.writeHead(value === undefined ? 404 : 200).end(value);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { values, address: `127.0.0.1:${server.address().port}`, stop: () => { server.close(); server.closeAllConnections(); } };
}
