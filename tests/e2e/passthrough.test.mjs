// Native requests: byte for byte to the provider and back, with the gateway's key, and a record of each.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI, { AzureOpenAI } from 'openai';
import { startDemoProvider } from '../upstream/demo_provider.mjs';
import { startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, hello, root, shared, startBareGateway } from './gateway.mjs';
import { samples } from './seed_samples.mjs';

const run = promisify(execFile);
const python = path.join(root, '.tools/venv/bin/python');
const seeds = path.join(shared, 'seeds');
let gateway, replay, demo, behindDemo;
const records = [];
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = await startBareGateway(allAt(replay.url), (line) => line.startsWith('{"id":"req_') && records.push(JSON.parse(line)), undefined, undefined, {}, { keys: ['caller'] });
  demo = await startDemoProvider({ tokensPerSecond: 5000 });
  behindDemo = await startBareGateway(allAt(demo.url));
});
after(() => { replay.stop(); demo.stop(); });
beforeEach(() => { replay.requests.length = 0; records.length = 0; });

/** Sends bytes as they are: `fetch` would tidy the path and the headers. */
function raw(method, target, { headers = {}, body, at = gateway } = {}) {
  const { hostname, port } = new URL(at);
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const request = http.request({ hostname, port, method, path: target, headers: { ...length, ...headers } }, (reply) => {
      const pieces = [];
      reply.on('data', (piece) => pieces.push(piece)).on('error', reject);
      reply.on('end', () => resolve({ status: reply.statusCode, headers: reply.headers, body: Buffer.concat(pieces) }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** The record of the request that was answered so. */
async function recordOf(reply) {
  const id = reply.headers['x-request-id'] ?? reply.headers.get('x-request-id');
  await until(() => records.some((record) => record.id === id), `a record of ${id}`);
  return records.find((record) => record.id === id);
}

async function until(condition, what) {
  for (let i = 0; i < 100 && !condition(); i++) await sleep(30);
  assert.ok(condition(), what);
}

test('any method, path, query and body arrive as they were sent, with the gateway\'s key', async () => {
  replay.answer = () => ({ body: '{}' });
  const body = Buffer.from('{ "a":1.00,\n "b":"\\u00e9" }');
  for (const [method, prefix, target, arrives, name, value] of [
    ['POST', '/openai_passthrough', '/v1/chat/completions?x=%20&y', '/v1/chat/completions?x=%20&y', 'authorization', 'Bearer sk-gateway-openai'],
    ['POST', '/openai_passthrough', '/chat/completions', '/v1/chat/completions', 'authorization', 'Bearer sk-gateway-openai'],
    ['PUT', '/anthropic_passthrough', '/v1/files/a%2Fb%20c/', '/v1/files/a%2Fb%20c/', 'x-api-key', 'sk-gateway-anthropic'],
    ['PATCH', '/azure_passthrough', '/openai/v1/x?api-version=preview', '/openai/v1/x?api-version=preview', 'api-key', 'gateway-azure'],
    ['DELETE', '/azure_passthrough', '/anthropic/v1/x', '/anthropic/v1/x', 'x-api-key', 'gateway-azure'],
    ['POST', '/azure_passthrough', '/v1/messages', '/anthropic/v1/messages', 'x-api-key', 'gateway-azure'],
    ['GET', '/genai_passthrough', '/v1beta/models/gemini-2.5-flash?%6bey=AIzaCaller&alt=sse&KEY=caller&x=sk-bf-caller', '/v1beta/models/gemini-2.5-flash?alt=sse', 'x-goog-api-key', 'gateway-gemini'],
    ['POST', '/genai_passthrough', '/v1beta/tunedModels/mine:generateContent', '/v1beta/tunedModels/mine:generateContent', 'x-goog-api-key', 'gateway-gemini'],
    ['POST', '/genai_passthrough', '/upload/v1beta/files?uploadType=resumable', '/upload/v1beta/files?uploadType=resumable', 'x-goog-api-key', 'gateway-gemini'],
    ['POST', '/genai_passthrough', '/v1/projects/theirs/locations/us-east1/publishers/google/models/m:generateContent', '/v1/projects/project-1/locations/us-central1/publishers/google/models/m:generateContent', 'x-goog-api-key', 'gateway-vertex'],
    ['POST', '/genai_passthrough', '/v1beta1/publishers/google/models/m:streamGenerateContent?alt=sse', '/v1beta1/projects/project-1/locations/us-central1/publishers/google/models/m:streamGenerateContent?alt=sse', 'x-goog-api-key', 'gateway-vertex'],
  ]) {
    const secrets = { authorization: 'Bearer sk-caller', 'x-api-key': 'caller', 'api-key': 'caller', 'x-goog-api-key': 'caller', cookie: 'a=caller', 'x-bf-vk': 'caller', 'x-forwarded-for': '1.2.3.4' };
    const passing = { 'content-type': 'application/json', 'anthropic-version': '2000-01-01', 'anthropic-beta': 'b', 'x-own': 'kept', 'openai-beta': 'o' };
    const { status } = await raw(method, prefix + target, { headers: { ...secrets, ...passing }, body: method === 'GET' ? undefined : body });
    assert.equal(status, 200, target);
    const { url, headers, body: arrived, method: asked } = replay.last();
    assert.deepEqual([asked, url, headers[name]], [method, arrives, value]);
    if (method !== 'GET') assert.ok(arrived.equals(body), target);
    for (const [passed, said] of Object.entries(passing)) assert.equal(headers[passed], said);
    assert.ok(!(JSON.stringify(headers) + url).includes('aller'), JSON.stringify(headers));
  }
});

test('a bearer token of Google\'s, or a model\'s path in the body, makes it Vertex\'s', async () => {
  replay.answer = () => ({ body: '{}' });
  await raw('POST', '/genai_passthrough/v1beta/models/m:generateContent', { headers: { authorization: 'Bearer ya29.caller' }, body: '{}' });
  assert.equal(replay.last().headers['x-goog-api-key'], 'gateway-vertex');
  const body = '{"model":"projects/p/locations/l/publishers/google/models/m"}';
  await raw('POST', '/genai_passthrough/v1beta/interactions', { headers: { 'content-type': 'application/json' }, body });
  assert.deepEqual([replay.last().headers['x-goog-api-key'], replay.last().body.toString()], ['gateway-vertex', body]);
  await raw('POST', '/genai_passthrough/v1beta/interactions', { headers: { 'content-type': 'application/json' }, body: '{"model":"gemini-2.5-flash"}' });
  assert.equal(replay.last().headers['x-goog-api-key'], 'gateway-gemini');
});

test('a caller\'s own key is used where that is allowed, but never on azure', async () => {
  const direct = await startBareGateway({ ...allAt(replay.url), ALLOW_DIRECT_KEYS: 'true' }, undefined, undefined, undefined, {}, { keys: ['sk-bf-virtual'] });
  replay.answer = () => ({ body: '{}' });
  for (const [target, caller, name, value] of [
    ['/openai_passthrough/v1/x', { authorization: 'Bearer sk-mine' }, 'authorization', 'Bearer sk-mine'],
    ['/openai_passthrough/v1/x', { authorization: 'Bearer dummy-key' }, 'authorization', 'Bearer sk-gateway-openai'],
    ['/anthropic_passthrough/v1/x', { 'x-api-key': 'sk-ant-mine' }, 'x-api-key', 'sk-ant-mine'],
    ['/anthropic_passthrough/v1/x', { 'x-api-key': 'sk-bf-virtual' }, 'x-api-key', 'sk-gateway-anthropic'],
    ['/genai_passthrough/v1beta/models', { 'x-goog-api-key': 'AIzaMine' }, 'x-goog-api-key', 'AIzaMine'],
    ['/anthropic_passthrough/v1/x', { authorization: 'Bearer sk-ant-oat-mine' }, 'authorization', 'Bearer sk-ant-oat-mine'],
    ['/openai_passthrough/v1/x', { authorization: 'Basic dTpw' }, 'authorization', 'Bearer sk-gateway-openai'],
    ['/openai_passthrough/v1/x', { authorization: 'Bearer sk-mine', 'x-api-key': 'other' }, 'authorization', 'Bearer sk-mine'],
    ['/genai_passthrough/v1beta/models?key=AIzaMine', {}, 'x-goog-api-key', 'AIzaMine'],
    ['/genai_passthrough/v1/projects/theirs/locations/l/x', { authorization: 'Bearer ya29.mine' }, 'authorization', 'Bearer ya29.mine'],
    ['/azure_passthrough/openai/v1/x', { 'api-key': 'mine' }, 'api-key', 'gateway-azure'],
  ]) {
    await raw('POST', target, { headers: caller, body: '{}', at: direct });
    assert.equal(replay.last().headers[name], value, target);
    if (target.includes('theirs')) assert.equal(replay.last().url, '/v1/projects/theirs/locations/l/x', 'a project of their own');
  }
});

test('answers of every status and kind come back as they are', async () => {
  const binary = randomBytes(100_000);
  for (const [status, body, headers] of [
    [200, binary, { 'content-type': 'application/octet-stream' }], [200, Buffer.from('{ "a" : 1.0 }'), { 'content-type': 'application/json' }],
    [404, Buffer.from('no such thing'), { 'content-type': 'text/plain; charset=x' }], [401, Buffer.from('{"error":"key"}'), {}], [429, Buffer.from('{}'), { 'retry-after': '7' }],
    [529, Buffer.from('{"type":"error"}'), {}], [302, Buffer.from(''), { location: 'https://elsewhere.example/' }], [500, Buffer.from('<html>'), { 'content-type': 'text/html' }],
  ]) {
    replay.answer = () => ({ status, body, headers: { ...headers, 'x-own': 'kept', 'set-cookie': 'a=b', server: 'theirs' } });
    const reply = await raw('POST', '/openai_passthrough/v1/x', { body: '{}' });
    assert.equal(reply.status, status);
    assert.ok(reply.body.equals(body), `${status}`);
    for (const [name, value] of Object.entries({ ...headers, 'x-own': 'kept', server: 'theirs' })) assert.equal(reply.headers[name], value);
    assert.equal(reply.headers['set-cookie'], undefined);
    assert.equal(replay.requests.length, 1, 'asked once');
    replay.requests.length = 0;
  }
  for (const status of [204, 304]) {
    replay.answer = () => ({ status, headers: { etag: 'x' } });
    const reply = await raw('GET', '/anthropic_passthrough/v1/x');
    assert.deepEqual([reply.status, reply.body.length, reply.headers.etag], [status, 0, 'x']);
  }
  replay.answer = () => ({ headers: { 'content-length': '1234', 'x-own': 'kept' } });
  const head = await raw('HEAD', '/openai_passthrough/v1/files/f/content');
  assert.deepEqual([head.status, head.headers['x-own'], replay.last().method], [200, 'kept', 'HEAD']);
});

test('what is compressed stays readable in both directions', async () => {
  const said = Buffer.from('{"model":"m","usage":{"prompt_tokens":3,"completion_tokens":2}}');
  replay.answer = () => ({ body: gzipSync(said), headers: { 'content-encoding': 'gzip' } });
  const sent = gzipSync('{"a":1}');
  const reply = await raw('POST', '/openai_passthrough/v1/x', { headers: { 'content-encoding': 'gzip', 'content-type': 'application/json', 'accept-encoding': 'gzip' }, body: sent });
  assert.ok(replay.last().body.equals(sent));
  assert.equal(replay.last().headers['content-encoding'], 'gzip');
  assert.ok((reply.headers['content-encoding'] === 'gzip' ? gunzipSync(reply.body) : reply.body).equals(said));
  assert.equal((await recordOf(reply)).input_tokens, 3);
});

test('a stream is the provider\'s own, byte for byte, odd framing and all', async () => {
  const odd = [': hi\r\n\r\nda', 'ta: {"model":"m"}\r\n\r', '\n', 'id: 1\nevent: x\ndata: a\ndata: b\n\n', '\n\n\n', 'data: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n', 'data: [DONE]'];
  replay.answer = () => ({ body: odd });
  const reply = await raw('POST', '/openai_passthrough/v1/x', { body: '{}' });
  assert.equal(reply.body.toString(), odd.join(''));
  assert.match(reply.headers['content-type'], /^text\/event-stream/);
});

test('every answer leaves one record with its model and its tokens', async () => {
  const chat = { id: 'c', model: 'gpt-4o-2024', usage: { prompt_tokens: 9, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 2 } } };
  const json = (body) => () => ({ body: JSON.stringify(body), headers: { 'content-length': Buffer.byteLength(JSON.stringify(body)) } });
  for (const [target, answer, expected] of [
    ['/openai_passthrough/v1/chat/completions', json(chat), { provider: 'openai', model: 'gpt-4o-2024', stream: false, input: 7, cache_read: 2, output: 4 }],
    ['/openai_passthrough/v1/chat/completions', () => ({ body: streams.chat(['a', 'b']) }), { provider: 'openai', model: 'm', stream: true, input: 9, cache_read: 0, output: 2 }],
    ['/openai_passthrough/v1/responses', () => ({ body: streams.responses(['a', 'b']) }), { provider: 'openai', model: 'm', stream: true, input: 9, cache_read: 0, output: 2 }],
    ['/anthropic_passthrough/v1/messages', () => ({ body: streams.anthropic(['a', 'b', 'c']) }), { provider: 'anthropic', model: 'm', stream: true, input: 9, cache_read: 0, output: 3 }],
    ['/genai_passthrough/v1beta/models/g:streamGenerateContent?alt=sse', () => ({ body: streams.gemini(['a']) }), { provider: 'gemini', model: 'm', stream: true, input: 9, cache_read: 0, output: 1 }],
    ['/azure_passthrough/openai/deployments/mine/x', () => ({ body: '{"ok":true}' }), { provider: 'azure', model: 'mine', stream: false }],
    ['/openai_passthrough/v1/files/f/content', () => ({ body: Buffer.from('abc'), headers: { 'content-type': 'application/octet-stream', 'content-length': 3 } }), { provider: 'openai', model: null, stream: false, bytes: 3 }],
    ['/openai_passthrough/v1/x', () => ({ status: 500, body: '{"error":{}}' }), { provider: 'openai', model: null, stream: false, http_status: 500 }],
  ]) {
    replay.answer = answer;
    const reply = await raw('POST', target, { body: '{}' });
    const record = await recordOf(reply);
    for (const [name, value] of Object.entries(expected)) assert.equal(record[name] ?? record[`${name}_tokens`] ?? null, value, `${target}: ${name}`);
    assert.deepEqual([record.object, record.status, record.path], ['passthrough', (expected.http_status ?? 200) < 400 ? 'success' : 'error', target.split('?')[0]]);
    assert.ok(record.duration_ms >= 0 && record.at_ms > 0);
    await sleep(20);
    assert.equal(records.filter(({ id }) => id === record.id).length, 1, 'one, and not two');
  }
  // Asking for what was made before takes no tokens, and what failed here is on record, too.
  replay.answer = json(chat);
  assert.equal((await recordOf(await raw('GET', '/openai_passthrough/v1/chat/completions/c'))).input_tokens, undefined);
  assert.equal((await recordOf(await raw('GET', '/openai_passthrough/v1/%2e%2e/x'))).http_status, 400);
});

test('when the caller goes, the upstream is closed, and what was heard is on record', async () => {
  replay.answer = () => ({ body: [...streams.anthropic(['a', 'b'], { done: false }), ...Array(200).fill(': ping\n\n')], gap: 40 });
  const abort = new AbortController();
  const reply = await fetch(`${gateway}/anthropic_passthrough/v1/messages`, { method: 'POST', body: '{}', signal: abort.signal });
  await reply.body.getReader().read();
  abort.abort();
  await until(() => replay.last().closed && !replay.last().finished, 'closed');
  const { status, input_tokens, output_tokens, model, estimated } = await recordOf(reply);
  // Two letters are a token, and the provider's own count at the beginning was none.
  assert.deepEqual([status, input_tokens, output_tokens, model, estimated], ['cancelled', 9, 1, 'm', true]);
});

test('when the caller goes while the provider is silent, the upstream is closed all the same', async () => {
  const { hostname, port } = new URL(gateway);
  for (const body of [['data: {"model":"m"}\n\n'], ['{"model":']]) {
    replay.requests.length = 0;
    replay.answer = () => ({ body, headers: { 'content-type': body[0][0] === '{' ? 'application/json' : 'text/event-stream' }, stall: 20_000 });
    await new Promise((resolve) => {
      const socket = net.connect(Number(port), hostname, () => socket.write(`POST /openai_passthrough/v1/x HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 2\r\n\r\n{}`));
      let text = '';
      socket.on('data', (data) => {
        text += data;
        if (text.includes('model')) { socket.resetAndDestroy(); resolve(); }
      });
    });
    await until(() => replay.last().closed && !replay.last().finished, body[0]);
  }
});

test('a large answer passes without being held', async () => {
  let child;
  const piece = Buffer.alloc(1 << 20, 'x');
  const server = http.createServer((incoming, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'application/json' });
    let left = 150;
    const write = () => { while (left-- > 0) if (!outgoing.write(piece)) return outgoing.once('drain', write); outgoing.end(); };
    incoming.resume().on('end', write);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const lines = [];
  const here = await startBareGateway(allAt(`http://127.0.0.1:${server.address().port}`), (line) => lines.push(line), (found) => { child = found; });
  const memory = () => Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)[1]);
  const before = memory();
  const reply = await raw('POST', '/openai_passthrough/v1/x', { body: '{}', at: here });
  assert.equal(reply.body.length, 150 << 20);
  assert.ok(memory() - before < 64 << 10, `${memory() - before} kB more than before`);
  await until(() => lines.some((line) => line.includes('"bytes":157286400')), 'a record with the size');
  server.close();
});

test('pages of other origins may read nothing', async () => {
  replay.answer = () => ({ body: '{}', headers: { 'access-control-allow-origin': '*' } });
  const reply = await raw('POST', '/openai_passthrough/v1/x', { headers: { origin: 'https://evil.example' }, body: '{}' });
  assert.deepEqual([reply.headers['access-control-allow-origin'], replay.last().headers.origin], [undefined, undefined]);
});

test('a cut reaches the caller as a cut', async () => {
  replay.answer = () => ({ body: streams.chat(['a'], { done: false }), cut: true });
  await assert.rejects(raw('POST', '/openai_passthrough/v1/cut', { body: '{}' }));
  const isIt = ({ path: at }) => at === '/openai_passthrough/v1/cut';
  await until(() => records.some(isIt), 'a record');
  assert.deepEqual([records.find(isIt).status, records.find(isIt).error_type], ['error', 'upstream_cut']);
});

test('the first event arrives before the last is sent', async () => {
  replay.answer = () => ({ body: streams.chat(['a', 'b', 'c']), gap: 150 });
  const reply = await fetch(`${gateway}/openai_passthrough/v1/chat/completions`, { method: 'POST', body: '{}' });
  const reader = reply.body.getReader();
  await reader.read();
  assert.ok(!replay.last().closed, 'the provider is still writing');
  while (!(await reader.read()).done);
});

test('20 MB go up without being held', async () => {
  // A listener of its own: the replay server answers only what it has read whole.
  let begun;
  const started = new Promise((resolve) => { begun = resolve; });
  let size = 0;
  const server = http.createServer((incoming, outgoing) => { incoming.on('data', (data) => { size += data.length; begun(); }); incoming.on('end', () => outgoing.end('{}')); });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  let child;
  const here = await startBareGateway(allAt(`http://127.0.0.1:${server.address().port}`), undefined, (found) => { child = found; });
  const memory = () => Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmHWM:\s+(\d+)/)[1]);
  await fetch(`${here}/openai_passthrough/v1/files`, { method: 'POST', body: 'x' });
  const before = memory();
  const piece = Buffer.alloc(1 << 20, 1);
  const body = new ReadableStream({
    async start(controller) {
      controller.enqueue(piece);
      await started;
      for (let i = 1; i < 20; i++) controller.enqueue(piece);
      controller.close();
    },
  });
  size = 0;
  const reply = await fetch(`${here}/openai_passthrough/v1/files`, { method: 'POST', body, duplex: 'half' });
  assert.equal(reply.status, 200);
  assert.equal(size, 20 << 20);
  assert.ok(memory() - before < 12 << 10, `${memory() - before} kB more than before`);
  server.close();
});

test('hostile paths are refused before anybody is asked, in the shape of the provider', async () => {
  const hostile = ['/..%2f..%2fx', '/v1/%2e%2e/x', '/v1/%252e%252e/x', '/v1/.%2e/x', '/v1//x', '//evil.example/x', '/v1/%5c..%5cx', '/v1/a%5cb', '/@evil.example', '/%40evil.example/x', '/v1/%00', '/v1/%0d%0aHost:x', '/v1/x%0a'];
  for (const prefix of ['/openai_passthrough', '/anthropic_passthrough', '/azure_passthrough', '/genai_passthrough']) {
    for (const target of hostile) {
      const { status, body, headers } = await raw('GET', prefix + target);
      assert.deepEqual([status, headers['x-bf-error-type']], [400, 'unsafe_path'], prefix + target);
      const { error } = JSON.parse(body);
      if (prefix.startsWith('/genai')) assert.deepEqual([error.code, error.status], [400, 'INVALID_ARGUMENT']);
      else assert.equal(error.type, 'invalid_request_error');
    }
    // What a client library would tidy up before it is sent; here it is sent as it is.
    for (const target of ['/v1/../x', '/../../x', '/v1/\\..\\x']) {
      const line = await rawLine(`GET ${prefix}${target} HTTP/1.1`);
      assert.match(line, /^HTTP\/1\.1 4\d\d /, prefix + target);
    }
  }
  assert.equal(replay.requests.length, 0);
});

/** The first line of the answer to a request line that no client would send. */
function rawLine(requestLine) {
  const { hostname, port } = new URL(gateway);
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname, () => socket.write(`${requestLine}\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`));
    let text = '';
    socket.on('data', (data) => { text += data; });
    socket.on('close', () => resolve(text.split('\r\n')[0]));
    socket.on('error', reject);
  });
}

test('what the gateway itself has to say is in the provider\'s shape', async () => {
  const bare = await startBareGateway({});
  const google = JSON.parse((await raw('POST', '/genai_passthrough/v1beta/models/m:generateContent', { body: '{}', at: bare })).body);
  assert.deepEqual([google.error.code, google.error.status], [400, 'INVALID_ARGUMENT']);
  const claude = JSON.parse((await raw('POST', '/azure_passthrough/v1/messages', { body: '{}', at: bare })).body);
  assert.equal(claude.type, 'error');
  const method = await raw('TRACE', '/openai_passthrough/v1/x');
  assert.equal(method.status, 405);
});

test('unmodified JavaScript SDKs speak through it', async () => {
  const openai = new OpenAI({ baseURL: `${behindDemo}/openai_passthrough/v1`, apiKey: 'dummy-key', maxRetries: 0 });
  assert.match((await openai.chat.completions.create({ model: 'gpt-4o-mini', messages: hello })).choices[0].message.content, /Hello/);
  const azure = new AzureOpenAI({ endpoint: `${behindDemo}/azure_passthrough`, apiKey: 'dummy-key', apiVersion: '2024-10-21', maxRetries: 0 });
  assert.match((await azure.chat.completions.create({ model: 'gpt-4o', messages: hello })).choices[0].message.content, /Hello/);
  for (const prefix of ['anthropic_passthrough', 'azure_passthrough']) {
    const anthropic = new Anthropic({ baseURL: `${behindDemo}/${prefix}`, apiKey: 'dummy-key', maxRetries: 0 });
    assert.match(await anthropic.messages.stream({ model: 'claude-sonnet-4-5', max_tokens: 99, messages: hello }).finalText(), /Hello/);
  }
  for (const vertexai of [false, true]) {
    const google = new GoogleGenAI({ apiKey: 'dummy-key', vertexai, httpOptions: { baseUrl: `${behindDemo}/genai_passthrough` } });
    assert.match((await google.models.generateContent({ model: 'gemini-2.5-flash', contents: 'Hello' })).text, /Hello/);
    let text = '';
    for await (const chunk of await google.models.generateContentStream({ model: 'gemini-2.5-flash', contents: 'Hello' })) text += chunk.text ?? '';
    assert.match(text, /Hello/);
  }
});

test('every sample of the passthrough seed runs as written', { skip: !existsSync(seeds) && 'no ../shared/seeds' }, async (t) => {
  const folder = mkdtempSync(path.join(root, '.tools/samples-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const wanted = samples(seeds, behindDemo, ['003']);
  assert.ok(wanted.length >= 11, `${wanted.length} samples`);
  for (const { index, language, title, code } of wanted) {
    await t.test(`sample ${index}, ${title} (${language})`, async () => {
      const file = path.join(folder, `${index}.${language === 'python' ? 'py' : 'sh'}`);
      writeFileSync(file, code);
      const asked = demo.getRequests().length;
      const { stdout } = await run(language === 'python' ? python : 'bash', [file], { timeout: 60_000 });
      assert.match(stdout, /Hello/);
      assert.ok(demo.getRequests().length > asked, 'the provider was asked');
    });
  }
});
