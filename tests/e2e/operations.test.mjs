// Embeddings, and the operations that only OpenAI's and Anthropic's own APIs have, with their own SDKs.
import assert from 'node:assert/strict';
import http from 'node:http';
import { gzipSync } from 'node:zlib';
import { after, before, beforeEach, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';
import { startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, post, startBareGateway, startGateway } from './gateway.mjs';

let gateway, replay, openai, anthropic;
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = await startGateway({ ...allAt(replay.url), AZURE_DEPLOYMENTS: '{"whisper-1":"my whisper"}' });
  openai = new OpenAI({ baseURL: `${gateway}/openai/v1`, apiKey: 'dummy-key', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: 'dummy-key', maxRetries: 0 });
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; });

const asked = () => `${replay.last().method} ${replay.last().url}`;
const json = (body) => () => ({ body: JSON.stringify(body) });
const vector = (text) => [text.length, -0.5, 0.25];

/** Google's embeddings, told from the texts. */
function embed(request) {
  const body = request.json();
  const texts = body.requests?.map(({ content }) => content.parts[0].text) ?? body.instances?.map(({ content }) => content) ?? [body.content.parts[0].text];
  if (request.url.endsWith(':predict')) return { body: JSON.stringify({ predictions: texts.map((text) => ({ embeddings: { values: vector(text), statistics: { token_count: 3, truncated: false } } })) }) };
  if (request.url.endsWith(':embedContent')) return { body: JSON.stringify({ embedding: { values: vector(texts[0]) } }) };
  return { body: JSON.stringify({ embeddings: texts.map((text) => ({ values: vector(text) })) }) };
}

test('embeddings keep their order on every provider, in numbers and in base64', async () => {
  const input = ['a', 'bb', 'ccc', 'dddd', 'eeeee', 'ffffff', 'ggggggg'];
  replay.answer = embed;
  for (const [model, url, requests] of [
    ['gemini/gemini-embedding-001', '/v1beta/models/gemini-embedding-001:batchEmbedContents', 1],
    ['vertex/text-embedding-005', '/v1/projects/project-1/locations/us-central1/publishers/google/models/text-embedding-005:predict', 2],
    ['vertex/gemini-embedding-001', '/v1/projects/project-1/locations/us-central1/publishers/google/models/gemini-embedding-001:predict', 7],
    ['vertex/gemini-embedding-2', '/v1/projects/project-1/locations/us-central1/publishers/google/models/gemini-embedding-2:embedContent', 7],
  ]) {
    // The SDK asks for base64 unless told otherwise.
    for (const encoding_format of [undefined, 'float']) {
      replay.requests.length = 0;
      const { data, usage, model: named } = await openai.embeddings.create({ model, input, dimensions: 3, encoding_format });
      assert.deepEqual(data.map(({ embedding, index }) => [embedding, index]), input.map((text, i) => [vector(text), i]), model);
      assert.equal(named, model);
      assert.ok(usage.total_tokens > 0);
      assert.equal(replay.requests.length, requests, model);
      assert.equal(replay.last().url, url);
      assert.ok(replay.requests.every(({ body }) => body.includes('"outputDimensionality":3')), model);
    }
  }
});

test('embeddings of OpenAI\'s kind go as they came', async () => {
  replay.answer = json({ object: 'list', data: [], model: 'm', usage: { prompt_tokens: 1, total_tokens: 1 } });
  for (const [model, url, name] of [['text-embedding-3-small', '/v1/embeddings', 'text-embedding-3-small'], ['ollama/nomic-embed-text', '/v1/embeddings', 'nomic-embed-text'], ['azure/ada', '/openai/deployments/ada/embeddings?api-version=2024-10-21', 'ada']]) {
    await openai.embeddings.create({ model, input: [[1, 2], [3]], user: 'u' });
    assert.deepEqual([replay.last().url, replay.last().json()], [url, { model: name, input: [[1, 2], [3]], user: 'u', encoding_format: 'base64' }]);
  }
  await post(`${gateway}/openai/openai/deployments/my-embedder/embeddings?api-version=2024-02-01`, { input: 'x' });
  assert.equal(replay.last().url, '/openai/deployments/my-embedder/embeddings?api-version=2024-02-01');
});

test('what a provider cannot embed is refused by name', async () => {
  await assert.rejects(openai.embeddings.create({ model: 'gemini/gemini-embedding-001', input: [1, 2] }), (error) => error.status === 400 && error.param === 'input[0]');
  await assert.rejects(openai.embeddings.create({ model: 'anthropic/claude-sonnet-4-5', input: 'x' }), (error) => error.status === 400 && error.message.includes('gemini'));
  replay.answer = json({ embeddings: [] });
  await assert.rejects(openai.embeddings.create({ model: 'gemini/gemini-embedding-001', input: 'x' }), (error) => error.status === 502);
});

test('the prefix is taken off the model of a JSON body, and path and query are kept', async () => {
  replay.answer = json({ ok: true });
  await openai.completions.create({ model: 'openai/gpt-3.5-turbo-instruct', prompt: 'Hi' });
  assert.deepEqual([asked(), replay.last().json()], ['POST /v1/completions', { model: 'gpt-3.5-turbo-instruct', prompt: 'Hi' }]);
  await openai.images.generate({ model: 'azure/dall-e-3', prompt: 'A heron' });
  assert.equal(asked(), 'POST /openai/deployments/dall-e-3/images/generations?api-version=2024-10-21');
  await openai.moderations.create({ input: 'x' });
  assert.equal(asked(), 'POST /v1/moderations');
  await openai.files.list({ limit: 2, purpose: 'batch' });
  assert.equal(asked(), 'GET /v1/files?limit=2&purpose=batch');
  await openai.fineTuning.jobs.list({ limit: 1 });
  assert.equal(asked(), 'GET /v1/fine_tuning/jobs?limit=1');
  await openai.vectorStores.delete('vs_1');
  assert.equal(asked(), 'DELETE /v1/vector_stores/vs_1');
  await openai.batches.create({ input_file_id: 'file-1', endpoint: '/v1/responses', completion_window: '24h' }, { query: { provider: 'azure' } });
  assert.equal(asked(), 'POST /openai/v1/batches');
  await post(`${gateway}/openai/v1/fine_tuning/jobs`, { model: 'azure/gpt-4o-mini', training_file: 'file-1' });
  assert.deepEqual([asked(), replay.last().json().model], ['POST /openai/v1/fine_tuning/jobs', 'gpt-4o-mini']);
  await post(`${gateway}/openai/openai/files?api-version=2024-10-21&provider=azure`, {});
  assert.equal(asked(), 'POST /openai/files?api-version=2024-10-21');
});

test('sound comes back as it is', async () => {
  const bytes = Buffer.from([255, 251, 0, 1, 2, 3]);
  replay.answer = () => ({ body: bytes, headers: { 'content-type': 'audio/mpeg' } });
  const speech = await openai.audio.speech.create({ model: 'openai/tts-1', voice: 'alloy', input: 'Hi' });
  assert.deepEqual(Buffer.from(await speech.arrayBuffer()), bytes);
  assert.equal(speech.headers.get('content-type'), 'audio/mpeg');
});

/** The fields of the form that arrived. */
async function form() {
  const { headers, body } = replay.last();
  const data = await new Response(body, { headers: { 'content-type': headers['content-type'] } }).formData();
  return Object.fromEntries(await Promise.all([...data].map(async ([name, value]) => [name, typeof value === 'string' ? value : Buffer.from(await value.arrayBuffer())])));
}

test('a form goes to the provider that its model names, wherever in it the model stands', async () => {
  replay.answer = json({ text: 'Hello' });
  const sound = Buffer.alloc(3 << 20, 7);
  for (const [model, url, named] of [['openai/whisper-1', '/v1/audio/transcriptions', 'whisper-1'], ['azure/whisper-1', '/openai/deployments/my%20whisper/audio/transcriptions?api-version=2024-10-21', 'my whisper'], ['whisper-1', '/v1/audio/transcriptions', 'whisper-1']]) {
    for (const order of [['file', 'model'], ['model', 'file']]) {
      const file = await toFile(sound, 'a.mp3');
      const { text } = await openai.audio.transcriptions.create(Object.fromEntries(order.map((key) => [key, { file, model }[key]])));
      assert.equal(text, 'Hello');
      const arrived = await form();
      assert.deepEqual([replay.last().url, arrived.model, arrived.file.equals(sound)], [url, named, true], `${model}, ${order}`);
      assert.equal(replay.last().headers['content-length'], String(replay.last().body.length), 'the length is told');
    }
  }
});

test('a file streams through: its beginning arrives before its end is sent', async () => {
  // A listener of its own: the replay server answers only what it has read whole.
  let begun;
  const started = new Promise((resolve) => { begun = resolve; });
  const server = http.createServer((incoming, outgoing) => { incoming.once('data', begun); incoming.on('end', () => outgoing.end('{"id":"file-1"}')); });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const here = await startGateway({ ...allAt(`http://127.0.0.1:${server.address().port}`) });
  const body = new ReadableStream({
    async start(controller) {
      const write = (text) => controller.enqueue(Buffer.from(text));
      write(`--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n${'x'.repeat(1 << 17)}`);
      await started;
      write('\r\n--b--\r\n');
      controller.close();
    },
  });
  const reply = await fetch(`${here}/openai/v1/files`, { method: 'POST', body, duplex: 'half', headers: { 'content-type': 'multipart/form-data; boundary=b' } });
  assert.equal((await reply.json()).id, 'file-1');
  server.close();
});

test('files go up and come down with the SDK', async () => {
  replay.answer = json({ id: 'file-1', object: 'file' });
  const content = Buffer.from('{"a":1}\n');
  await openai.files.create({ file: await toFile(content, 'f.jsonl'), purpose: 'batch' });
  assert.equal(asked(), 'POST /v1/files');
  assert.deepEqual((await form()).file, content);
  replay.answer = () => ({ body: content, headers: { 'content-type': 'application/octet-stream' } });
  assert.equal(await (await openai.files.content('file-1')).text(), content.toString());
  assert.equal(asked(), 'GET /v1/files/file-1/content');
});

test('Anthropic\'s batches and files keep their headers', async () => {
  replay.answer = json({ id: 'msgbatch_1', type: 'message_batch' });
  await anthropic.messages.batches.create({ requests: [{ custom_id: 'a', params: { model: 'claude-sonnet-4-5', max_tokens: 5, messages: [] } }] });
  assert.equal(asked(), 'POST /v1/messages/batches');
  await anthropic.messages.batches.create({ requests: ['anthropic/claude-x', 'claude-y'].map((model) => ({ custom_id: model, params: { model, max_tokens: 5, messages: [] } })) });
  assert.deepEqual(replay.last().json().requests.map(({ params }) => params.model), ['claude-x', 'claude-y']);
  await assert.rejects(anthropic.messages.batches.create({ requests: [{ custom_id: 'a', params: { model: 'openai/gpt-4o', max_tokens: 5, messages: [] } }] }), Anthropic.BadRequestError);
  await anthropic.messages.batches.retrieve('msgbatch_1');
  assert.equal(asked(), 'GET /v1/messages/batches/msgbatch_1');
  await anthropic.beta.files.upload({ file: await toFile(Buffer.from('x'), 'x.txt') });
  assert.equal(asked(), 'POST /v1/files');
  assert.equal(replay.last().headers['anthropic-version'], '2026-10-21');
  assert.equal(replay.last().headers['x-api-key'], 'sk-gateway-anthropic');
});

test('a path that walks up is refused before anybody is asked', async () => {
  // wrangler's harness has a worker in front that would tidy the path up.
  const { hostname, port } = new URL(await startBareGateway(allAt(replay.url)));
  for (const target of ['/openai/v1/files/%2e%2e/models', '/openai/v1/files/%2e%2e/%2e%2e/admin', '/anthropic/v1/files/..%2fx']) {
    // `fetch` would tidy it up.
    const status = await new Promise((resolve, reject) => http.get({ hostname, port, path: target }, (reply) => { reply.resume(); resolve(reply.statusCode); }).on('error', reject));
    assert.equal(status, 400, target);
  }
  replay.answer = json({ choices: [] });
  await post(`${gateway}/openai/v1/chat/completions`, { model: 'azure/..', messages: [] });
  assert.match(replay.last()?.url ?? '%252E', /%252E/);
});

test('a provider that does not have the operation says who does', async () => {
  for (const [path, provider] of [['files', 'gemini'], ['batches', 'anthropic'], ['audio/speech', 'ollama'], ['moderations', 'azure']]) {
    const reply = await post(`${gateway}/openai/v1/${path}?provider=${provider}`, {});
    const { error } = await reply.json();
    assert.equal(reply.status, 400);
    assert.match(error.message, new RegExp(`'${path}' is not available for the provider '${provider}'; it is for openai${path === 'moderations' ? ' ' : ' and azure'}`));
  }
  const reply = await fetch(`${gateway}/anthropic/v1/files`, { headers: { 'x-model-provider': 'vertex' } });
  const { error } = await reply.json();
  assert.match(error.message, /it is for anthropic/);
  assert.equal((await fetch(`${gateway}/openai/v1/files`, { headers: { 'x-model-provider': 'nobody' } })).status, 400);
  assert.equal(replay.requests.length, 0);
});

test('what a provider gave out goes back to it and to nobody else', async () => {
  const azure = { query: { provider: 'azure' } };
  const to = (provider) => (provider === 'azure' ? '/openai/' : '/v1/');
  const wentTo = (provider) => assert.ok(replay.last().url.startsWith(to(provider)), replay.last().url);
  const refused = (error) => error.status === 400 && error.code === 'foreign_id' && /azure/.test(error.message);
  replay.answer = json({ id: 'file-az1', object: 'file' });
  await openai.files.create({ file: await toFile(Buffer.from('{}'), 'a.jsonl'), purpose: 'batch' }, azure);
  replay.answer = json({ id: 'batch_az1', object: 'batch', output_file_id: 'file-az2' });
  await openai.batches.create({ input_file_id: 'file-az1', endpoint: '/v1/responses', completion_window: '24h' });
  wentTo('azure');
  for (const ask of [() => openai.files.retrieve('file-az1'), () => openai.files.content('file-az2'), () => openai.batches.cancel('batch_az1'), () => openai.files.list({ after: 'file-az2' })]) {
    await ask();
    wentTo('azure');
  }
  // Named otherwise, or sent along with what is another's, it is refused before anybody sees it.
  replay.answer = json({ id: 'file-oa1', object: 'file' });
  await openai.files.create({ file: await toFile(Buffer.from('{}'), 'a.jsonl'), purpose: 'batch' });
  wentTo('openai');
  const before = replay.requests.length;
  await assert.rejects(openai.files.retrieve('file-az1', { query: { provider: 'openai' } }), refused);
  await assert.rejects(openai.vectorStores.create({ file_ids: ['file-az1', 'file-oa1'] }), refused);
  await assert.rejects(openai.fineTuning.jobs.create({ model: 'openai/gpt-4o-mini', training_file: 'file-az1' }), refused);
  await assert.rejects(openai.chat.completions.create({ model: 'gpt-4o', messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-az1' } }] }] }), refused);
  assert.equal(replay.requests.length, before);
  await openai.files.retrieve('file-oa1');
  wentTo('openai');
});

test('a response goes back to the provider that keeps it, streamed or not', async () => {
  for (const stream of [false, true]) {
    const id = `resp_az${stream}`;
    const events = streams.responses(['a', 'b']).map((event) => event.replaceAll('resp_1', id));
    replay.answer = stream ? () => ({ body: events }) : json({ id, object: 'response', output: [], status: 'completed' });
    const sent = await post(`${gateway}/openai/v1/responses`, { model: 'azure/gpt-4o', input: 'Hi', stream });
    assert.equal(await sent.text(), stream ? events.join('') : replay.answer().body, 'as it came');
    replay.answer = json({ id, object: 'response', output: [] });
    await openai.responses.retrieve(id);
    assert.equal(asked(), `GET /openai/v1/responses/${id}`);
    await assert.rejects(openai.responses.create({ model: 'openai/gpt-4o', input: 'Go on', previous_response_id: id }), (error) => error.status === 400 && error.code === 'foreign_id');
    await openai.responses.create({ model: 'azure/gpt-4o', input: 'Go on', previous_response_id: id });
    await openai.responses.delete(id);
    assert.equal(asked(), `DELETE /openai/v1/responses/${id}`);
  }
});

test('an answer whose identifiers are noted arrives whole, compressed or large', async () => {
  const body = JSON.stringify({ id: 'batch_az9', object: 'batch', metadata: { note: 'x'.repeat(5000) } });
  replay.answer = () => ({ body: gzipSync(body), headers: { 'content-encoding': 'gzip' } });
  const small = await post(`${gateway}/openai/v1/batches?provider=azure`, {});
  assert.equal(await small.text(), body);
  const large = JSON.stringify({ id: 'file-az9', data: 'y'.repeat(12 << 20) });
  replay.answer = () => ({ body: large, headers: { 'content-type': 'application/json' } });
  const reply = await fetch(`${gateway}/openai/v1/files/file-az9/content?provider=azure`);
  assert.equal((await reply.text()).length, large.length);
  replay.answer = json({ ok: true });
  for (const [id, path] of [['batch_az9', 'batches/batch_az9'], ['file-az9', 'files/file-az9']]) {
    await openai.get(`/${path}`);
    assert.ok(replay.last().url.startsWith('/openai/'), id);
  }
});
