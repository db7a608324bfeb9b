// Every request leaves one record: what it took, what it cost, how it ended; and what the owner can ask of them.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, hello, post, promptly, startBareGateway, startWithBindings } from './gateway.mjs';

const TOKEN = 'owners-own-token';
let replay, gateway, bare, collector, queue;
const lines = [];
before(async () => {
  replay = await startReplay(() => ({}));
  collector = await startReplay(() => ({ body: '{}' }));
  const vars = { ...allAt(replay.url), ADMIN_TOKEN: TOKEN, LOG_CONTENT: 'true', MAX_RETRIES: '1', OTLP_ENDPOINT: collector.url, OTLP_HEADERS: 'x-collector-key=otlp%2Dsecret-1' };
  gateway = await startWithBindings(vars, '', promptly);
  // What a gateway without a database of its own queues goes into that of the other.
  queue = http.createServer(async (incoming, outgoing) => {
    const pieces = await incoming.toArray();
    await gateway.env.LOGS.send(Buffer.concat(pieces).toString(), { contentType: 'text' });
    outgoing.end();
  });
  await new Promise((resolve) => queue.listen(0, '127.0.0.1', resolve));
  bare = await startBareGateway(allAt(replay.url), (line) => lines.push(line), undefined, undefined, { LOGS: `127.0.0.1:${queue.address().port}` });
});
after(() => { replay.stop(); collector.stop(); queue.close(); });
beforeEach(() => { replay.requests.length = 0; });

const admin = { authorization: `Bearer ${TOKEN}` };
const api = async (path, init = {}) => (await fetch(gateway.url + path, { headers: admin, ...init })).json();

async function until(look, what) {
  for (let i = 0; i < 150; i++) {
    const found = await look();
    if (found) return found;
    await sleep(100);
  }
  assert.fail(what);
}

/** The record in the database of the request that was answered so. */
const recorded = (reply) => {
  const id = reply.headers.get('x-request-id');
  return until(async () => { const found = await api(`/api/logs/${id}`); return found.id && found; }, `a record of ${id}`);
};

const answers = {
  chat: { id: 'c', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'Hi there' }, finish_reason: 'stop' }], usage: { prompt_tokens: 1000, completion_tokens: 100, total_tokens: 1100, prompt_tokens_details: { cached_tokens: 400 } } },
  messages: { id: 'm', type: 'message', role: 'assistant', model: 'm', content: [{ type: 'text', text: 'Hi there' }], stop_reason: 'end_turn', stop_sequence: null, usage: { input_tokens: 600, cache_read_input_tokens: 400, cache_creation_input_tokens: 0, output_tokens: 100 } },
  gemini: { candidates: [{ content: { role: 'model', parts: [{ text: 'Hi there' }] }, finishReason: 'STOP', index: 0 }], usageMetadata: { promptTokenCount: 1000, cachedContentTokenCount: 400, candidatesTokenCount: 100, totalTokenCount: 1100 }, modelVersion: 'm' },
  responses: { id: 'resp_1', object: 'response', created_at: 1, status: 'completed', model: 'm', output: [{ id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'Hi there', annotations: [] }] }], usage: { input_tokens: 1000, input_tokens_details: { cached_tokens: 400 }, output_tokens: 100, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 1100 } },
};

// Worked out by hand, USD: 600 read anew, 400 from the cache, 100 written; and 9 read, 4 written.
const costs = {
  'openai/gpt-4o': [0.003, 0.0000625], // 2.50, 1.25, 10.00 per million
  'anthropic/claude-sonnet-4-5': [0.00342, 0.000087], // 3.00, 0.30, 15.00
  'gemini/gemini-2.5-flash': [0.000442, 0.0000127], // 0.30, 0.03, 2.50
  'openai/gpt-5-mini': [0.00036, 0.00001025], // 0.25, 0.025, 2.00
  'azure/gpt-4o': [0.003, 0.0000625], // as OpenAI's
  'vertex/gemini-2.5-flash': [0.000442, 0.0000127], // as Gemini's
  'ollama/llama3.3': [0, 0],
};
const paths = { chat: '/openai/v1/chat/completions', messages: '/anthropic/v1/messages', responses: '/openai/v1/responses' };
const body = (caller, model, more) => (caller === 'responses' ? { model, input: 'Hello!', store: false, ...more } : { model, messages: hello, ...(caller === 'messages' && { max_tokens: 99 }), ...more });
const pairs = [
  ['chat', 'openai/gpt-4o', 'chat', 'openai_chat'],
  ['messages', 'anthropic/claude-sonnet-4-5', 'messages', 'anthropic'],
  ['responses', 'openai/gpt-5-mini', 'responses', 'openai_responses'],
  ['chat', 'anthropic/claude-sonnet-4-5', 'messages', 'anthropic'],
  ['chat', 'gemini/gemini-2.5-flash', 'gemini', 'gemini'],
  ['messages', 'openai/gpt-4o', 'chat', 'openai_chat'],
  ['messages', 'openai/gpt-5-mini', 'responses', 'openai_responses'],
  ['responses', 'gemini/gemini-2.5-flash', 'gemini', 'gemini'],
  ['messages', 'gemini/gemini-2.5-flash', 'gemini', 'gemini'],
  ['responses', 'anthropic/claude-sonnet-4-5', 'messages', 'anthropic'],
  ['chat', 'openai/gpt-5-mini', 'responses', 'openai_responses', { include_reasoning: true }],
  ['chat', 'azure/gpt-4o', 'chat', 'openai_chat'],
  ['chat', 'vertex/gemini-2.5-flash', 'gemini', 'gemini'],
  ['messages', 'ollama/llama3.3', 'chat', 'openai_chat'],
  ['responses', 'ollama/llama3.3', 'chat', 'openai_chat'],
];
const streamOf = { chat: streams.chat, messages: streams.anthropic, responses: streams.responses, gemini: streams.gemini };
const dialectOf = { chat: 'openai_chat', messages: 'anthropic', responses: 'openai_responses' };

for (const [caller, model, upstream, dialect, also] of pairs) {
  const asks = (more) => body(caller, model, { ...also, ...more });
  test(`${caller} on ${model} by ${dialect}: the record says what the exchange says and what the price list says`, async () => {
    const [provider] = model.split('/');
    replay.answer = () => ({ body: JSON.stringify(answers[upstream]) });
    const reply = await post(gateway.url + paths[caller], asks(), { 'x-bf-dim-team': 'blue', 'x-bf-parent-request-id': 'parent-1' });
    assert.equal(reply.status, 200);
    await reply.text();
    const record = await recorded(reply);
    const expected = { object: caller, provider, model: 'm', model_asked: model, dialect_in: dialectOf[caller], dialect_out: dialect, status: 'success', http_status: 200, stream: false, estimated: false, key_name: 'default', attempts: 1, fallback_index: 0, input_tokens: 600, cache_read_tokens: 400, output_tokens: 100, cost_usd: costs[model][0], parent_id: 'parent-1' };
    for (const [name, value] of Object.entries(expected)) assert.equal(record[name], value, name);
    assert.deepEqual(record.labels, { team: 'blue' });
    assert.equal(Number(reply.headers.get('x-bf-cost-usd')), costs[model][0]);
    assert.match(record.request, /Hello!/);
    assert.match(record.reply, /Hi there/);

    replay.answer = () => ({ body: streamOf[upstream](['Hi', ' the', 're', '!']) });
    const usage = caller === 'chat' ? { stream_options: { include_usage: true } } : {};
    const stream = await post(gateway.url + paths[caller], asks({ stream: true, ...usage }));
    await stream.text();
    const streamed = await recorded(stream);
    for (const [name, value] of Object.entries({ status: 'success', stream: true, estimated: false, input_tokens: 9, output_tokens: 4, cost_usd: costs[model][1], dialect_out: dialect })) assert.equal(streamed[name], value, name);
    assert.match(streamed.reply, /Hi there!/);
    assert.ok(streamed.first_byte_ms <= streamed.duration_ms);
    assert.ok(streamed.bytes > 100 && streamed.request_bytes > 50);
  });

  test(`${caller} on ${model} by ${dialect}: a stream that the caller leaves costs what was delivered`, async () => {
    replay.answer = () => ({ body: streamOf[upstream](Array(40).fill('word '), { done: false }), gap: 25, stall: 3000 });
    const abort = new AbortController();
    const reply = await post_(bare + paths[caller], asks({ stream: true }), abort.signal);
    let text = '';
    for await (const piece of reply.body.pipeThrough(new TextDecoderStream())) if ((text += piece).split('word ').length > 12) break;
    abort.abort();
    const record = await recorded(reply);
    assert.deepEqual([record.status, record.estimated, record.stream], ['cancelled', true, true]);
    // Ten words and more of five letters, of forty.
    assert.ok(record.output_tokens >= 12 && record.output_tokens < 50, `${record.output_tokens} tokens`);
    assert.ok(record.input_tokens >= 1);
    assert.equal(record.cost_usd > 0, !model.startsWith('ollama/'));
  });

  test(`${caller} on ${model} by ${dialect}: a failure is on record with its reason`, async () => {
    replay.answer = () => ({ status: 400, body: JSON.stringify({ error: { type: 'invalid_request_error', message: 'no', code: 400 } }) });
    const reply = await post(gateway.url + paths[caller], asks());
    await reply.text();
    const record = await recorded(reply);
    assert.match(record.reply, /no/);
    assert.deepEqual([record.status, record.http_status, record.provider, record.cost_usd], ['error', 400, model.split('/')[0], null]);
    assert.ok(record.error_type);

    replay.answer = () => ({ body: streamOf[upstream](['Hi', ' there'], { done: false }), cut: true });
    const cut = await post_(bare + paths[caller], asks({ stream: true }));
    await cut.text().catch(() => {});
    const half = await recorded(cut);
    assert.equal(half.status, 'error');
    assert.ok(half.error_type && half.output_tokens >= 2);

    // An end without its last word is a cut, too.
    replay.answer = () => ({ body: streamOf[upstream](['Hi', ' there'], { done: false }) });
    const closed = await post_(bare + paths[caller], asks({ stream: true }));
    await closed.text().catch(() => {});
    const early = await recorded(closed);
    assert.equal(early.status, 'error');
    assert.ok(early.error_type && early.output_tokens >= 2);
  });
}

const post_ = (url, body, signal) => fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal });

test('attempts and fallbacks are on record, and embeddings, native requests and passthrough as well', async () => {
  replay.answer = ({ url }) => (url.includes('/messages') ? { body: JSON.stringify(answers.messages) } : { status: 503, body: '{"error":{"message":"down"}}' });
  const reply = await post(gateway.url + paths.chat, body('chat', 'openai/gpt-4o', { fallbacks: ['anthropic/claude-sonnet-4-5'] }));
  await reply.text();
  const { attempts, fallback_index, provider, cost_usd } = await recorded(reply);
  assert.deepEqual([attempts, fallback_index, provider, cost_usd], [3, 1, 'anthropic', 0.00342]);

  replay.answer = () => ({ body: JSON.stringify({ object: 'list', data: [{ object: 'embedding', index: 0, embedding: [1, 2] }], model: 'text-embedding-3-small', usage: { prompt_tokens: 8, total_tokens: 8 } }) });
  const vectors = await post(`${gateway.url}/openai/v1/embeddings`, { model: 'openai/text-embedding-3-small', input: 'x' });
  await vectors.text();
  const embedded = await recorded(vectors);
  assert.deepEqual([embedded.object, embedded.input_tokens, embedded.cost_usd, vectors.headers.get('x-bf-cost-usd')], ['embeddings', 8, 1.6e-7, '0.00000016']);

  replay.answer = () => ({ body: JSON.stringify(answers.chat) });
  for (const [path, object] of [['/openai_passthrough/v1/chat/completions', 'passthrough'], ['/openai/v1/moderations', 'native']]) {
    const native = await post(gateway.url + path, { model: 'gpt-4o', messages: hello });
    await native.text();
    const record = await recorded(native);
    assert.deepEqual([record.object, record.input_tokens, record.output_tokens, record.path], [object, 600, 100, path]);
  }
});

const natives = [['/openai_passthrough/v1/chat/completions', 'chat', 'gpt-4o', 'openai'], ['/anthropic_passthrough/v1/messages', 'anthropic', 'claude-sonnet-4-5', 'anthropic'], ['/genai_passthrough/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse', 'gemini', 'gemini-2.5-flash', 'gemini']];
for (const [path, dialect, model, provider] of natives) {
  test(`passthrough to ${provider}: whole, left, cut and refused streams are on record`, async () => {
    const asks = { model, stream: true, messages: hello, contents: [{ parts: [{ text: 'Hello!' }] }] };
    replay.answer = () => ({ body: streams[dialect](['Hi', ' the', 're', '!']) });
    const reply = await post(gateway.url + path, asks);
    await reply.text();
    const whole = await recorded(reply);
    assert.deepEqual([whole.object, whole.status, whole.stream, whole.provider, whole.input_tokens, whole.output_tokens, whole.estimated], ['passthrough', 'success', true, provider, 9, 4, false]);
    assert.match(whole.request, /Hello!/);

    replay.answer = () => ({ body: streams[dialect](Array(40).fill('word '), { done: false }), gap: 25, stall: 3000 });
    const abort = new AbortController();
    const left = await post_(bare + path, asks, abort.signal);
    let text = '';
    for await (const piece of left.body.pipeThrough(new TextDecoderStream())) if ((text += piece).split('word ').length > 12) break;
    abort.abort();
    const cancelled = await recorded(left);
    assert.deepEqual([cancelled.status, cancelled.estimated], ['cancelled', true]);
    // What nobody read of the request is known by its length.
    assert.ok(cancelled.input_tokens >= 9 && cancelled.input_tokens < 100 && cancelled.output_tokens >= 12 && cancelled.output_tokens < 50, JSON.stringify(cancelled));

    replay.answer = () => ({ body: streams[dialect](['Hi', ' there'], { done: false }), cut: true });
    const half = await post_(bare + path, asks);
    await half.text().catch(() => {});
    const cut = await recorded(half);
    assert.deepEqual([cut.status, cut.error_type], ['error', 'upstream_cut']);

    replay.answer = () => ({ status: 429, body: '{"error":{"type":"rate_limit_error","message":"slow down"}}' });
    const refused = await post(gateway.url + path, asks);
    await refused.text();
    const { status, http_status, error_type, cost_usd } = await recorded(refused);
    assert.deepEqual([status, http_status, cost_usd], ['error', 429, null]);
    assert.ok(error_type);
  });
}

test('of an answer too long to be kept the end tells the tokens', async () => {
  const [first, ...rest] = streams.chat(['x'.repeat(60_000)]);
  const [word, ...end] = rest;
  replay.answer = () => ({ body: [first, ...Array(200).fill(word), ...end], gap: 0 });
  const reply = await post_(bare + paths.chat, body('chat', 'openai/gpt-4o', { stream: true, stream_options: { include_usage: true } }));
  assert.ok((await reply.text()).length > 8 << 20);
  const { status, input_tokens, output_tokens, estimated } = await recorded(reply);
  assert.deepEqual([status, input_tokens, output_tokens, estimated], ['success', 9, 1, false]);

  // Nobody told it, and what is read where beginning and end meet is no error.
  replay.answer = () => ({ body: [first, ...Array(200).fill(word), end[0], end.at(-1)], gap: 0 });
  const untold = await post_(bare + paths.chat, body('chat', 'openai/gpt-4o', { stream: true }));
  await untold.text();
  const guessed = await recorded(untold);
  assert.deepEqual([guessed.status, guessed.error_type, guessed.estimated], ['success', null, true]);

  // The last event of Responses says all of it once more.
  replay.answer = () => ({ body: streams.responses(Array(150).fill('x'.repeat(60_000))), gap: 0 });
  const long = await post_(bare + paths.responses, body('responses', 'openai/gpt-5-mini', { stream: true }));
  assert.ok((await long.text()).length > 16 << 20);
  const responded = await recorded(long);
  assert.deepEqual([responded.status, responded.input_tokens, responded.output_tokens, responded.estimated], ['success', 9, 150, false]);

  const vector = Array(3000).fill(0.123456789);
  replay.answer = () => ({ body: JSON.stringify({ object: 'list', data: Array.from({ length: 300 }, (_, index) => ({ object: 'embedding', index, embedding: vector })), model: 'text-embedding-3-small', usage: { prompt_tokens: 8, total_tokens: 8 } }) });
  const vectors = await post_(`${bare}/openai_passthrough/v1/embeddings`, { model: 'text-embedding-3-small', input: ['x'] });
  assert.ok((await vectors.text()).length > 8 << 20);
  assert.equal((await recorded(vectors)).input_tokens, 8);
});

test('what nobody counts is estimated, and credentials in bodies are kept out', async () => {
  replay.answer = () => ({ body: '{"embeddings":[{"values":[1,2]}]}' });
  const vectors = await post(`${gateway.url}/openai/v1/embeddings`, { model: 'gemini/gemini-embedding-001', input: 'twelve chars' });
  assert.equal(vectors.headers.get('x-bf-token-count'), 'estimate');
  await vectors.text();
  const { input_tokens, estimated, cost_usd } = await recorded(vectors);
  assert.deepEqual([input_tokens, estimated, cost_usd], [3, true, 4.5e-7]);

  replay.answer = () => ({ body: JSON.stringify(answers.messages) });
  const reply = await post(gateway.url + paths.messages, body('messages', 'anthropic/claude-sonnet-4-5', { mcp_servers: [{ type: 'url', name: 's', url: 'https://example.com', authorization_token: 'planted-in-a-body' }] }));
  await reply.text();
  const { request } = await recorded(reply);
  assert.ok(request.includes('mcp_servers') && !request.includes('planted'), request);
});

test('every name of the metrics is there', async () => {
  const text = await (await fetch(`${gateway.url}/metrics`, { headers: admin })).text();
  for (const name of ['http_requests_total', 'http_request_duration_seconds_bucket', 'http_request_size_bytes_sum', 'http_response_size_bytes_sum', 'upstream_requests_total', 'upstream_latency_seconds_bucket', 'success_requests_total', 'error_requests_total', 'input_tokens_total', 'output_tokens_total', 'cache_hits_total', 'cost_total', 'stream_inter_token_latency_seconds_sum', 'stream_first_token_latency_seconds_bucket']) {
    assert.match(text, new RegExp(`^finops_${name}\\{provider="openai",model="m",[^}]*\\} `, 'm'), name);
  }
});

test('an error of one attempt leaves nothing in the record of the next', async () => {
  let asked = 0;
  replay.answer = () => (asked++ ? { body: streams.chat(['Hi', ' the', 're', '!']) } : { status: 429, body: '{"error":{"type":"rate_limit_error","message":"slow down"},"usage":{"prompt_tokens":77}}' });
  const reply = await post(gateway.url + paths.chat, body('chat', 'openai/gpt-4o', { stream: true }));
  await reply.text();
  const { status, error_type, attempts, input_tokens, output_tokens, estimated } = await recorded(reply);
  assert.deepEqual([status, error_type, attempts, input_tokens, output_tokens, estimated], ['success', null, 2, 9, 4, false]);
});

test('an error without a length keeps its body while others are tried', async () => {
  const said = '{"error":{"message":"first","type":"rate_limit_error"}}';
  replay.answer = ({ url }) => (url.includes('/messages') ? { status: 503, body: '{}' } : { status: 429, body: said, headers: { 'transfer-encoding': 'chunked' } });
  const reply = await post(gateway.url + paths.chat, body('chat', 'openai/gpt-4o', { fallbacks: ['anthropic/claude-sonnet-4-5'] }));
  assert.deepEqual([reply.status, await reply.text()], [429, said]);
});

test('a caller who leaves before the answer begins is on record', async () => {
  replay.answer = () => ({ body: JSON.stringify(answers.chat), delay: 700 });
  const before = lines.length;
  await assert.rejects(post_(bare + paths.chat, body('chat', 'openai/gpt-4o'), AbortSignal.timeout(200)));
  const record = await until(() => lines.slice(before).find((line) => line.startsWith('{"id":')), 'a line');
  assert.deepEqual([JSON.parse(record).input_tokens, JSON.parse(record).cost], [600, 3_000_000_000]);
});

test('words without end fill no message, and what is lost in translation is on record', async () => {
  replay.answer = () => ({ body: JSON.stringify(answers.messages) });
  const [long, other] = await Promise.all([
    post(gateway.url + paths.chat, body('chat', `openai/${'x'.repeat(200_000)}`)),
    post(gateway.url + paths.chat, body('chat', 'anthropic/claude-sonnet-4-5', { logit_bias: { 1: 1 }, messages: [{ role: 'user', content: '東京'.repeat(30_000) }] })),
  ]);
  await Promise.all([long.text(), other.text()]);
  assert.ok((await recorded(long)).model_asked.length < 400);
  const record = await recorded(other);
  assert.deepEqual(record.dropped, ['logit_bias']);
  assert.match(record.request, /東京.*bytes in all/);
  const deleted = await api(`/api/logs?content_search=${encodeURIComponent('東京')}`, { method: 'DELETE' });
  assert.deepEqual(deleted, { deleted: 1, done: true });
  assert.equal((await fetch(`${gateway.url}/api/logs/${record.id}`, { headers: admin })).status, 404);
  assert.equal((await gateway.env.DB.prepare('SELECT count(*) AS n FROM log_contents WHERE id = ?').bind(record.id).first()).n, 0);
});

test('what cannot be priced has no cost, and a deployment costs what its model costs', async () => {
  replay.answer = () => ({ body: JSON.stringify(answers.chat) });
  for (const [model, cost] of [['openai/gpt-of-tomorrow', null], ['ollama/anything', 0]]) {
    const reply = await post(gateway.url + paths.chat, body('chat', model));
    await reply.text();
    const record = await recorded(reply);
    assert.deepEqual([record.input_tokens, record.cost_usd, reply.headers.get('x-bf-cost-usd')], [600, cost, cost === null ? null : '0']);
  }
  const { url, env } = await startWithBindings({ ...allAt(replay.url), AZURE_DEPLOYMENTS: '{"gpt-4o":"ours"}' });
  // The owner's prices come first; they are there before the first request asks.
  await env.KEYS.put('prices', JSON.stringify({ 'openai/gpt-of-tomorrow': { input_cost_per_token: 1e-6, output_cost_per_token: 0.00001 }, 'azure/mine': { input_cost_per_token: 0.001, output_cost_per_token: 0, litellm_provider: 'azure' } }));
  const cost = async (model) => (await post(url + paths.chat, body('chat', model))).headers.get('x-bf-cost-usd');
  assert.equal(await cost('openai/gpt-of-tomorrow'), '0.002');
  assert.equal(await cost('gemini/ours'), null);
  assert.equal(await cost('azure/ours'), '0.003');
  // Whatever name the answer gives: they are not of the list.
  replay.answer = () => ({ body: JSON.stringify({ ...answers.chat, model: 'gpt-4o-2024-08-06' }) });
  assert.equal(await cost('azure/mine'), '1');
  replay.answer = () => ({ body: JSON.stringify(answers.chat) });
  const byPath = await post(`${url}/openai/openai/deployments/ours/chat/completions`, { messages: hello });
  assert.equal(byPath.headers.get('x-bf-cost-usd'), '0.003');
});

test('a batch that comes twice changes nothing', async () => {
  const record = (id) => ({ id, at_ms: 1000, object: 'chat', method: 'POST', path: '/x', provider: 'twice', status: 'success', http_status: 200, attempts: 1, fallback_index: 0, stream: false, first_byte_ms: 1, duration_ms: 2, cost: 5, input_tokens: 1, cache_read_tokens: 0, cache_write_5m_tokens: 0, cache_write_1h_tokens: 0, output_tokens: 1, dropped: [], labels: [] });
  const batch = JSON.stringify([record('a-1'), record('a-2')]);
  for (let i = 0; i < 2; i++) await gateway.env.LOGS.send(batch, { contentType: 'text' });
  // What is no batch of records is dropped, and holds nobody up.
  await gateway.env.LOGS.send('nonsense', { contentType: 'text' });
  await gateway.env.LOGS.send({ not: 'text' });
  await gateway.env.LOGS.send(JSON.stringify([record('a-3')]), { contentType: 'text' });
  await until(async () => (await api('/api/logs?provider=twice')).total === 3, 'three records');
  await sleep(3000);
  const { requests, cost_usd } = await api('/api/logs/stats?provider=twice');
  assert.deepEqual([requests, cost_usd], [3, 1.5e-11]);
  const metrics = await (await fetch(`${gateway.url}/metrics`, { headers: admin })).text();
  assert.match(metrics, /finops_upstream_requests_total\{provider="twice"[^}]*\} 3\n/);
});

test('the owner finds records by every filter, in pages, sorted, and nobody else finds any', async () => {
  for (const [headers, status, type] of [[{}, 401, 'wrong_admin_token'], [{ authorization: 'Bearer wrong' }, 401, 'wrong_admin_token'], [admin, 200, null]]) {
    for (const path of ['/api/logs', '/api/logs/stats', '/api/logs/histogram', '/metrics']) {
      const reply = await fetch(gateway.url + path, { headers });
      assert.deepEqual([reply.status, reply.headers.get('x-bf-error-type')], [status, type], path);
    }
  }
  const without = await fetch(`${bare}/api/logs`, { headers: admin });
  assert.deepEqual([without.status, (await without.json()).error.code], [403, 'no_admin_token']);

  const all = await api('/api/logs?limit=1000');
  assert.ok(all.total > 20 && all.logs.length === all.total);
  const count = async (query) => (await api(`/api/logs?${query}`)).total;
  const here = (test) => all.logs.filter(test).length;
  assert.equal(await count('provider=anthropic'), here((log) => log.provider === 'anthropic'));
  assert.equal(await count('providers=anthropic,gemini'), here((log) => ['anthropic', 'gemini'].includes(log.provider)));
  assert.equal(await count('status=error&object=chat'), here((log) => log.status === 'error' && log.object === 'chat'));
  assert.equal(await count('model=m&stream=true'), here((log) => log.model === 'm' && log.stream));
  assert.equal(await count('http_status=400'), here((log) => log.http_status === 400));
  assert.equal(await count('content_search=HI%20THERE!'), here((log) => log.stream && log.status === 'success' && (log.bytes ?? 0) < 1 << 20));
  assert.equal(await count(`start_time=${new Date(Date.now() - 600_000).toISOString()}&end_time=${Date.now() + 1000}`), here((log) => log.at_ms > 2000));
  assert.equal(await count('virtual_key=none'), 0);
  for (const [name, column] of [['error_type', 'error_type'], ['key_name', 'key_name'], ['model_asked', 'model_asked'], ['parent_id', 'parent_id']]) {
    const value = all.logs.find((log) => log[column])[column];
    assert.equal(await count(`${name}=${encodeURIComponent(value)}`), here((log) => log[column] === value), name);
  }
  const middle = all.logs.map((log) => log.duration_ms).sort((a, b) => a - b)[all.logs.length >> 1];
  assert.equal(await count(`min_latency_ms=${middle}`), here((log) => log.duration_ms >= middle));
  assert.equal(await count(`max_latency_ms=${middle}`), here((log) => log.duration_ms <= middle));
  for (const [sort, column] of [['time', 'at_ms'], ['latency', 'duration_ms'], ['first_byte_ms', 'first_byte_ms']]) {
    const sorted = (await api(`/api/logs?sort=${sort}&order=asc&limit=1000`)).logs.map((log) => log[column]);
    assert.deepEqual(sorted, sorted.toSorted((a, b) => a - b), sort);
  }
  const costs = (await api('/api/logs?sort_by=cost&order=desc&limit=5&offset=1')).logs.map((log) => log.cost_usd);
  assert.deepEqual(costs, all.logs.map((log) => log.cost_usd).sort((a, b) => b - a).slice(1, 6));

  for (const query of ['limit=0x', 'sort_by=id', 'nothing=1', 'start_time=never', 'status=failed', 'http_status=ok', "provider=x'%20OR%201=1--&limit=-1"]) {
    const reply = await fetch(`${gateway.url}/api/logs?${query}`, { headers: admin });
    assert.equal(reply.status, 400, query);
    assert.ok((await reply.json()).error.param, query);
  }
  assert.equal(await count("provider=x'%20OR%201=1--"), 0);
  assert.equal((await fetch(`${gateway.url}/api/logs/none`, { headers: admin })).status, 404);

  const stats = await api('/api/logs/stats?object=chat');
  assert.equal(stats.requests, here((log) => log.object === 'chat'));
  const times = all.logs.filter((log) => log.object === 'chat').map((log) => log.duration_ms).sort((a, b) => a - b);
  for (const share of [50, 90, 95, 99]) assert.equal(stats[`latency_p${share}_ms`], times[Math.ceil((times.length * share) / 100) - 1], `p${share}`);
  assert.deepEqual(Object.entries(await api('/api/logs/stats?provider=none')).filter(([name, value]) => value !== 0 && !name.startsWith('latency')), []);
  for (const [by, column] of [['model', 'model'], ['key', 'key_name']]) {
    const { buckets } = await api(`/api/logs/histogram?bucket=1h&by=${by}`);
    for (const name of new Set(buckets.map((bucket) => bucket.by))) {
      const requests = buckets.filter((bucket) => bucket.by === name).reduce((total, bucket) => total + bucket.requests, 0);
      assert.equal(requests, here((log) => log.at_ms > 2000 && log[column] === name), `${by} ${name}`);
    }
  }
  const { buckets } = await api('/api/logs/histogram?bucket=1h&by=provider');
  assert.ok(buckets.every(({ start_ms }) => start_ms % 3_600_000 === 0));
  const sum = (list, key) => list.reduce((total, entry) => total + entry[key], 0);
  assert.equal(sum(buckets, 'requests'), here((log) => log.at_ms > 2000));

  const remove = async (query) => api(`/api/logs?${query}`, { method: 'DELETE' });
  assert.equal((await remove('')).error.param, 'all');
  assert.deepEqual(await remove('provider=gemini'), { deleted: here((log) => log.provider === 'gemini'), done: true });
  assert.equal(await count('provider=gemini'), 0);
});

test('old records go by themselves, in small batches, after the days that the owner sets', async () => {
  const { url, env, worker } = await startWithBindings({ ...allAt(replay.url), ADMIN_TOKEN: TOKEN, LOG_RETENTION_DAYS: '1' });
  const day = 24 * 3_600_000;
  const columns = ['at_ms', 'object', 'method', 'path', 'status', 'http_status', 'attempts', 'fallback_index', 'stream', 'first_byte_ms', 'duration_ms', 'dropped', 'labels'];
  const insert = (from, count, at) => env.DB.prepare(`INSERT INTO logs (id, ${columns}) WITH RECURSIVE some(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM some WHERE i + 1 < ${from + count})
    SELECT 'old-' || i, ?1, 'chat', 'POST', '/x', 'success', 200, 1, 0, 0, 1, 2, '[]', '[]' FROM some`).bind(at).run();
  await insert(0, 1200, Date.now() - 2 * day);
  await insert(5000, 3, Date.now() - day / 2);
  await worker.scheduled({ cron: '* * * * *' });
  assert.deepEqual((await env.DB.prepare('SELECT id FROM logs ORDER BY id').all()).results.map(({ id }) => id), ['old-5000', 'old-5001', 'old-5002']);
  const metrics = await (await fetch(`${url}/metrics`, { headers: admin })).text();
  assert.match(metrics, /finops_http_requests_total\{[^}]*\} 1203\n/);
});

test('old records go by themselves', async () => {
  await gateway.worker.scheduled({ cron: '* * * * *' });
  assert.equal((await api('/api/logs?end_time=2000')).total, 0);
  assert.ok((await api('/api/logs')).total > 0);
  // Their sums stay.
  assert.match(await (await fetch(`${gateway.url}/metrics`, { headers: admin })).text(), /provider="twice"/);
});

test('a span goes to the collector, in the caller\'s trace', async () => {
  collector.requests.length = 0;
  replay.answer = () => ({ body: JSON.stringify(answers.messages) });
  const reply = await post(gateway.url + paths.chat, body('chat', 'anthropic/claude-sonnet-4-5'), { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' });
  await reply.text();
  const request = await until(() => collector.requests.find((request) => request.body.includes('4bf92f3577b34da6a3ce929d0e0e4736')), 'a span');
  assert.deepEqual([request.url, request.headers['x-collector-key']], ['/v1/traces', 'otlp-secret-1']);
  // Of a trace that the caller drops there is no part.
  const dropped = await post(gateway.url + paths.chat, body('chat', 'anthropic/claude-sonnet-4-5'), { traceparent: '00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' });
  await dropped.text();
  await recorded(dropped);
  await sleep(500);
  assert.ok(!collector.requests.some((request) => request.body.includes('5bf92f3577b34da6a3ce929d0e0e4736')));
  const span = request.json().resourceSpans[0].scopeSpans[0].spans.find(({ traceId }) => traceId.startsWith('4bf9'));
  const attributes = Object.fromEntries(span.attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]));
  assert.deepEqual([span.parentSpanId, span.kind, span.name], ['00f067aa0ba902b7', 3, 'chat anthropic/claude-sonnet-4-5']);
  const expected = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'anthropic', 'gen_ai.response.model': 'm', 'gen_ai.usage.input_tokens': 1000, 'gen_ai.usage.output_tokens': 100, 'finops.cost.usd': '0.00342' };
  for (const [key, value] of Object.entries(expected)) assert.equal(attributes[key], value, key);
});

test('when the queue refuses, the record is on the console', async () => {
  let asked = 0;
  const refusing = http.createServer((incoming, outgoing) => { asked++; incoming.resume().on('end', () => outgoing.writeHead(500).end()); });
  await new Promise((resolve) => refusing.listen(0, '127.0.0.1', resolve));
  const said = [];
  const here = await startBareGateway(allAt(replay.url), (line) => said.push(line), undefined, undefined, { LOGS: `127.0.0.1:${refusing.address().port}` });
  replay.answer = () => ({ body: JSON.stringify(answers.chat) });
  const reply = await post(here + paths.chat, body('chat', 'openai/gpt-4o'));
  const id = reply.headers.get('x-request-id');
  await reply.text();
  await until(() => said.some((line) => line.includes('not in the table') && line.includes(id)), 'a complaint');
  assert.equal(asked, 2, 'asked once more');
  // The complaint comes first, and then the record once more.
  await until(() => said.filter((line) => line.startsWith(`{"id":"${id}"`)).length === 2, 'the record once more');
  refusing.close();
});

test('2,000 requests end in 2,000 records though the database fails every third time', { timeout: 240_000 }, async () => {
  const { url, env, harness } = await startWithBindings({ ...allAt(replay.url), ADMIN_TOKEN: TOKEN });
  await env.DB.exec('CREATE TABLE faulty (is_on INTEGER)');
  await env.DB.exec('INSERT INTO faulty VALUES (0)');
  await env.DB.exec("CREATE TRIGGER faults BEFORE INSERT ON logs WHEN (SELECT is_on FROM faulty) BEGIN SELECT RAISE(ABORT, 'a fault'); END");
  const refused = () => harness.getLogs().filter(({ message }) => message.includes('tried again later')).length;
  const count = async () => (await env.DB.prepare('SELECT count(*) AS n FROM logs').first()).n;
  const more = async (look) => { for (let before = await look(); (await count()) < 2000 && (await look()) === before;) await sleep(25); };
  // One time the database refuses, and two times it does not.
  let faults = 0;
  const faulty = (async () => {
    while ((await count()) < 2000) {
      await env.DB.exec('UPDATE faulty SET is_on = 1');
      const before = refused();
      await more(refused);
      faults += refused() > before;
      await env.DB.exec('UPDATE faulty SET is_on = 0');
      await more(count);
      await more(count);
    }
  })();
  replay.answer = () => ({ body: JSON.stringify(answers.chat), gap: 0 });
  let left = 2000;
  const worker = async () => { while (left-- > 0) await (await post(url + paths.chat, body('chat', 'openai/gpt-4o'))).text(); };
  await Promise.all(Array.from({ length: 16 }, worker));
  await faulty;
  await sleep(1000);
  const { requests, success, cost_usd } = await (await fetch(`${url}/api/logs/stats`, { headers: admin })).json();
  assert.deepEqual([requests, success, cost_usd], [2000, 2000, 6]);
  assert.ok(faults >= 3, `${faults} faults`);
  const metrics = await (await fetch(`${url}/metrics`, { headers: admin })).text();
  assert.match(metrics, /finops_upstream_requests_total\{[^}]*\} 2000\n/);
});
