// Closed-loop load: each connection sends its next request when the last answer has ended.
import http from 'node:http';

const TIMEOUT_MS = 20_000; // a stuck worker fails the run instead of hanging it

function once(agent, { port, path, body, endMark, headers }) {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    let firstByteMs, chunks = 0, tail = '';
    const req = http.request({ agent, host: '127.0.0.1', port, path, method: 'POST', timeout: TIMEOUT_MS, headers: {
      'content-type': 'application/json', 'content-length': Buffer.byteLength(body), authorization: 'Bearer dummy-key', ...headers } });
    req.on('timeout', () => req.destroy(new Error(`no answer from ${path} within ${TIMEOUT_MS} ms`)));
    req.on('error', reject);
    req.on('response', (res) => {
      // node's parser gives one 'data' per HTTP chunk, so this counts the worker's writes even when TCP merges them.
      res.on('data', (data) => {
        firstByteMs ??= performance.now() - began; // of the body: headers alone are of no use to a reader of tokens
        chunks++;
        tail = (tail + data.toString('latin1')).slice(-400);
      });
      res.on('error', reject);
      res.on('end', () => (res.statusCode === 200 && tail.includes(endMark)
        ? resolve({ firstByteMs, chunks })
        : reject(new Error(`${path}: status ${res.statusCode}, or no ${endMark} at the end of: ${tail}`))));
    });
    req.end(body);
  });
}

/** Sends `requests` requests over `connections` kept-alive connections; every answer must be complete. */
export async function load({ requests, connections, ...target }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const answers = [];
  let left = requests;
  const connection = async () => { while (left-- > 0) answers.push(await once(agent, target)); };
  try {
    await Promise.all(Array.from({ length: connections }, connection));
  } finally {
    agent.destroy();
  }
  return answers;
}
