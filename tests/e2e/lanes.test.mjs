// What arrives at a provider and what comes back, byte for byte. The provider is the replay server.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, eventsOf, hello, post, startGateway } from './gateway.mjs';

let gateway, replay;
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = await startGateway({ ...allAt(replay.url), AZURE_DEPLOYMENTS: '{"gpt-4o":"my deployment"}', OLLAMA_API_KEY: 'gateway-ollama' }, ['vk_1']);
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; });

const chat = () => `${gateway}/openai/v1/chat/completions`;
const messages = () => `${gateway}/anthropic/v1/messages`;
const odd = '{ "id" :"x",  "object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"\\u00e9"},"finish_reason":"stop"}], "usage":{"cost":1.50e-7},"new_field":[1.0,{}]}';

test('in the identity lane the body arrives as it was written, and the answer comes back as it was written', async () => {
  replay.answer = () => ({ body: odd, headers: { 'x-request-id': 'req_upstream', 'openai-processing-ms': '7', 'set-cookie': 'a=b', server: 'x' } });
  const body = '{ "model": "gpt-4o-mini",\n "temperature": 1.00, "messages" : [{"role":"user","content":"h\\u00e9"}], "unknown": {"z":1,"a":1e2} }';
  const reply = await post(chat(), body);
  assert.equal(await reply.text(), odd);
  assert.equal(replay.last().body.toString(), body);
  assert.equal(replay.last().url, '/v1/chat/completions');
  const header = (name) => reply.headers.get(name);
  assert.deepEqual([header('x-request-id'), header('openai-processing-ms'), header('set-cookie'), header('server')], ['req_upstream', '7', null, null]);
});

test('a prefix is taken off the model and gateway fields off the body, and nothing else', async () => {
  replay.answer = () => ({ body: odd });
  await post(chat(), '{"messages":[],"model":"openai/gpt-4o-mini","fallbacks":["x"],"provider":{"order":["a"]},"seed":12345678901234567890}');
  assert.equal(replay.last().body.toString(), '{"messages":[],"model":"gpt-4o-mini","seed":12345678901234567890}');
});

test('an identity stream is the provider\'s own, byte for byte', async () => {
  const stream = streams.chat(['Hel', 'lo'], { usage: null });
  replay.answer = () => ({ body: stream });
  const reply = await post(chat(), { model: 'gpt-4o', messages: hello, stream: true });
  assert.equal(await reply.text(), stream.join(''));
});

test('credentials of the caller and of the gateway never cross', async () => {
  replay.answer = () => ({ body: odd });
  const secrets = { authorization: 'Bearer sk-caller', 'x-api-key': 'caller', cookie: 'a=b', 'x-bf-vk': 'vk_1', 'x-forwarded-for': '1.2.3.4', 'x-goog-api-key': 'caller', 'openai-organization': 'org-1' };
  for (const [model, name, value] of [
    ['openai/m', 'authorization', 'Bearer sk-gateway-openai'], ['anthropic/claude-sonnet-4-5', 'x-api-key', 'sk-gateway-anthropic'],
    ['gemini/gemini-2.5-flash', 'x-goog-api-key', 'gateway-gemini'], ['vertex/gemini-2.5-flash', 'x-goog-api-key', 'gateway-vertex'],
    ['azure/gpt-4o', 'api-key', 'gateway-azure'], ['ollama/llama3.1:8b', 'authorization', 'Bearer gateway-ollama'],
  ]) {
    await (await post(chat(), { model, messages: hello }, secrets)).text();
    const { headers, url } = replay.last();
    assert.equal(headers[name], value, model);
    const sent = JSON.stringify(headers) + url;
    for (const leak of ['caller', 'a=b', 'vk_1', '1.2.3.4']) assert.ok(!sent.includes(leak), `${model}: ${leak} in ${sent}`);
    assert.equal((sent.match(/gateway-/g) ?? []).length, 1, sent);
    assert.ok(!url.includes('key'), url);
  }
});

test('each provider is asked at its own address', async () => {
  replay.answer = () => ({ body: odd });
  for (const [model, url, stream] of [
    ['gemini/gemini-2.5-flash', '/v1beta/models/gemini-2.5-flash:generateContent'],
    ['gemini/gemini-2.5-flash', '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse', true],
    ['gemini/tunedModels/mine', '/v1beta/tunedModels/mine:generateContent'],
    ['vertex/gemini-2.5-pro', '/v1/projects/project-1/locations/us-central1/publishers/google/models/gemini-2.5-pro:generateContent'],
    ['vertex/claude-sonnet-4-5@20250929', '/v1/projects/project-1/locations/us-central1/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict'],
    ['vertex/claude-sonnet-4-5@20250929', '/v1/projects/project-1/locations/us-central1/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict', true],
    ['azure/gpt-4o', '/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21'],
    ['azure/claude-sonnet-4-5', '/anthropic/v1/messages'],
    ['ollama/llama3.1:8b', '/v1/chat/completions'],
  ]) {
    await (await post(chat(), { model, messages: hello, ...(stream && { stream }) })).text();
    assert.equal(replay.last().url, url);
  }
});

test('AzureOpenAI\'s path names the deployment and the version', async () => {
  replay.answer = () => ({ body: odd });
  await post(`${gateway}/openai/openai/deployments/gpt-4-deployment/chat/completions?api-version=2024-02-01`, { model: 'ignored', messages: hello });
  assert.equal(replay.last().url, '/openai/deployments/gpt-4-deployment/chat/completions?api-version=2024-02-01');
});

test('Claude on Vertex gets its version and betas in the body, the model in the address', async () => {
  replay.answer = () => ({ body: '{}' });
  await post(messages(), { model: 'vertex/claude-sonnet-4-5', max_tokens: 5, messages: hello }, { 'anthropic-beta': 'context-1m-2025-08-07, fast-mode-2026-02-01' });
  const sent = replay.last().json();
  assert.deepEqual([sent.anthropic_version, sent.anthropic_beta, sent.model], ['vertex-2023-10-16', ['context-1m-2025-08-07'], undefined]);
});

test('an Anthropic caller\'s version and betas reach Anthropic and nobody else', async () => {
  replay.answer = () => ({ body: '{}' });
  const headers = { 'anthropic-version': '2026-10-21', 'anthropic-beta': 'a-1,b-2', 'anthropic-custom': 'x', 'anthropic-dangerous-direct-browser-access': 'true' };
  await post(messages(), { model: 'claude-sonnet-4-5', max_tokens: 5, messages: hello }, headers);
  const sent = replay.last().headers;
  assert.deepEqual([sent['anthropic-version'], sent['anthropic-beta'], sent['anthropic-custom'], sent['anthropic-dangerous-direct-browser-access']], ['2026-10-21', 'a-1,b-2', 'x', undefined]);
  await post(messages(), { model: 'openai/gpt-4o', max_tokens: 5, messages: hello }, headers);
  assert.ok(!Object.keys(replay.last().headers).some((name) => name.startsWith('anthropic')));
});

test('what a translation drops is named in a header, and refused in strict mode', async () => {
  replay.answer = () => ({ body: { id: 'msg_1', type: 'message', role: 'assistant', content: [{ type: 'text', text: 'hi' }], stop_reason: 'end_turn', usage: { input_tokens: 1, output_tokens: 1 } } });
  const answer = replay.answer();
  replay.answer = () => ({ body: JSON.stringify(answer.body) });
  const body = { model: 'anthropic/claude-sonnet-4-5', messages: hello, seed: 7, logit_bias: { 1: 1 } };
  const lenient = await post(chat(), body);
  assert.equal(lenient.status, 200);
  assert.deepEqual(lenient.headers.get('x-bf-dropped-params').split(',').sort(), ['logit_bias', 'seed']);
  const strict = await post(chat(), body, { 'x-bf-strict': 'true' });
  assert.equal(strict.status, 400);
  assert.match((await strict.json()).error.message, /logit_bias.*seed/);
});

test('a change of meaning is a 400 even in lenient mode', async () => {
  for (const [url, body, pattern] of [
    [chat(), { model: 'anthropic/claude-sonnet-4-5', messages: hello, n: 2 }, /'n'/],
    [chat(), { model: 'gemini/gemini-2.5-flash', messages: hello, modalities: ['text', 'audio'] }, /modalities/],
    [chat(), { model: 'anthropic/claude-sonnet-4-5', messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } }] }] }, /audio/],
    [messages(), { model: 'openai/gpt-4o', max_tokens: 5, messages: hello, tools: [{ type: 'web_search_20250305', name: 'web_search' }], tool_choice: { type: 'tool', name: 'web_search' } }, /web_search/],
    [messages(), { model: 'openai/gpt-4o', max_tokens: 5, messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'file', file_id: 'file_1' } }] }] }, /file id/],
  ]) {
    const before = replay.requests.length;
    const reply = await post(url, body);
    assert.equal(reply.status, 400);
    assert.match((await reply.json()).error.message, pattern);
    assert.equal(replay.requests.length, before, 'nothing was sent');
  }
});

test('a name that OpenAI refuses is mapped on the way out and back on the way in', async () => {
  const name = 'mcp.server/' + 'tool'.repeat(20);
  let sent;
  replay.answer = (request) => {
    sent = request.json().tools[0].function.name;
    return { body: streams.chat([]).map((chunk) => chunk.replace('"delta":{}', `"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"${sent}","arguments":"{}"}}]}`).replace('"stop"', '"tool_calls"')) };
  };
  const reply = await post(messages(), { model: 'openai/gpt-4o', max_tokens: 50, stream: true, messages: hello, tools: [{ name, input_schema: { type: 'object' } }] });
  const start = eventsOf(await reply.text()).map(({ data }) => JSON.parse(data)).find((event) => event.content_block?.type === 'tool_use');
  assert.match(sent, /^[a-zA-Z0-9_-]{1,64}$/);
  assert.equal(start.content_block.name, name);
});
