// Which path means what, and how refusals read. The provider is the demo provider.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startDemoProvider } from '../upstream/demo_provider.mjs';
import { allAt, hello, post, startGateway } from './gateway.mjs';

let gateway, demo;
before(async () => {
  demo = await startDemoProvider({ tokensPerSecond: 2000 });
  gateway = await startGateway({ ...allAt(demo.url), AZURE_OPENAI_API_KEY: '', MAX_BODY_BYTES: '20000', ALLOWED_ORIGINS: 'https://app.example' });
});
after(() => demo.stop());

test('every form of the chat path answers', async () => {
  for (const path of ['/openai/v1/chat/completions', '/openai/chat/completions', '/v1/chat/completions']) {
    const reply = await post(gateway + path, { model: 'openai/gpt-4o-mini', messages: hello });
    assert.equal(reply.status, 200, path);
    assert.match((await reply.json()).choices[0].message.content, /Hello/);
    assert.match(reply.headers.get('x-request-id'), /./);
    assert.equal(reply.headers.get('x-bf-provider'), 'openai');
    assert.equal(reply.headers.get('x-bf-model'), 'gpt-4o-mini');
    assert.equal(reply.headers.get('x-bf-attempts'), '1');
  }
});

test('a coding agent\'s path with ?beta=true is the Messages path', async () => {
  const reply = await post(`${gateway}/anthropic/v1/messages?beta=true`, { model: 'claude-sonnet-4-5', max_tokens: 50, messages: hello });
  assert.equal(reply.status, 200);
  assert.equal((await reply.json()).type, 'message');
});

test('a bare path wants provider/model and says so', async () => {
  const reply = await post(`${gateway}/v1/chat/completions`, { model: 'gpt-4o-mini', messages: hello });
  assert.equal(reply.status, 400);
  const { error } = await reply.json();
  assert.match(error.message, /provider\/model/);
  assert.deepEqual([error.type, error.param, reply.headers.get('x-bf-error-type')], ['invalid_request_error', 'model', 'model_without_provider']);
});

test('an unconfigured provider is a 400 that names the secret', async () => {
  const reply = await post(`${gateway}/openai/v1/chat/completions`, { model: 'azure/gpt-4o', messages: hello });
  assert.equal(reply.status, 400);
  assert.match((await reply.json()).error.message, /AZURE_OPENAI_API_KEY/);
});

test('an unknown prefix belongs to the model\'s name', async () => {
  const reply = await post(`${gateway}/openai/v1/chat/completions`, { model: 'meta-llama/Llama-3', messages: hello });
  assert.equal(reply.headers.get('x-bf-model'), 'meta-llama/Llama-3');
});

test('models of all providers are listed as provider/model in the caller\'s shape', async () => {
  const openai = await (await fetch(`${gateway}/openai/v1/models`)).json();
  assert.equal(openai.object, 'list');
  for (const id of ['openai/gpt-4o-mini', 'anthropic/claude-sonnet-4-5', 'gemini/gemini-2.5-flash', 'ollama/gpt-4o-mini']) {
    assert.ok(openai.data.some((model) => model.id === id && model.object === 'model'), id);
  }
  for (const path of ['/openai/models', '/openai/openai/models', '/v1/models']) assert.equal((await fetch(gateway + path)).status, 200, path);
  const anthropic = await (await fetch(`${gateway}/anthropic/v1/models`)).json();
  assert.equal(anthropic.data[0].type, 'model');
  assert.equal(anthropic.first_id, anthropic.data[0].id);
  const one = await (await fetch(`${gateway}/openai/v1/models/anthropic/claude-sonnet-4-5`)).json();
  assert.deepEqual([one.id, one.owned_by], ['anthropic/claude-sonnet-4-5', 'anthropic']);
  assert.equal((await fetch(`${gateway}/openai/v1/models/gpt-4o-mini`)).status, 200);
  assert.equal((await fetch(`${gateway}/openai/v1/models/no-such`)).status, 404);
});

test('tokens are counted by Anthropic itself, and estimated for others, which a header says', async () => {
  const body = { messages: [{ role: 'user', content: 'How many tokens is this?' }] };
  const native = await post(`${gateway}/anthropic/v1/messages/count_tokens`, { model: 'claude-sonnet-4-5', ...body });
  assert.equal(native.headers.get('x-bf-token-count'), null);
  assert.ok((await native.json()).input_tokens > 0);
  const estimate = await post(`${gateway}/anthropic/v1/messages/count_tokens`, { model: 'openai/gpt-4o', ...body });
  assert.equal(estimate.headers.get('x-bf-token-count'), 'estimate');
  assert.ok((await estimate.json()).input_tokens > 0);
});

test('health says what is configured and no secret', async () => {
  const text = await (await fetch(`${gateway}/health`)).text();
  const health = JSON.parse(text);
  assert.deepEqual([health.status, health.providers.openai], ['ok', 'configured']);
  assert.match(health.providers.azure, /AZURE_OPENAI_API_KEY/);
  assert.ok(!text.includes('sk-gateway'));
});

test('the root describes itself, to HEAD without a body', async () => {
  assert.equal((await (await fetch(gateway)).json()).name, 'FinOps Gateway');
  const head = await fetch(gateway, { method: 'HEAD' });
  assert.deepEqual([head.status, await head.text()], [200, '']);
});

test('an unknown path is a 404 in the shape of its prefix, a wrong method a 405 that says what is allowed', async () => {
  const openai = await post(`${gateway}/openai/v1/nothing`, {});
  assert.equal(openai.status, 404);
  assert.equal(typeof (await openai.json()).error.message, 'string');
  const anthropic = await post(`${gateway}/anthropic/v1/nothing`, {});
  assert.equal((await anthropic.json()).error.type, 'not_found_error');
  const method = await fetch(`${gateway}/anthropic/v1/messages`);
  assert.deepEqual([method.status, method.headers.get('allow')], [405, 'POST']);
});

test('a bad body is told in the caller\'s dialect, with the member\'s name', async () => {
  const messages = `${gateway}/anthropic/v1/messages`, chat = `${gateway}/openai/v1/chat/completions`;
  for (const [url, body, status, pattern] of [
    [chat, '{"model": "gpt-4o-mini", ', 400, /not valid JSON/],
    [chat, '[]', 400, /not valid JSON/],
    [chat, { messages: hello }, 400, /'model' is required/],
    [chat, { model: 7, messages: hello }, 400, /'model'.*string/],
    [chat, { model: 'anthropic/claude-sonnet-4-5', messages: [] }, 400, /'messages'/],
    [chat, { model: 'anthropic/claude-sonnet-4-5', messages: [{ role: 'boss', content: 'x' }] }, 400, /messages\[0\]\.role/],
    [chat, { model: 'anthropic/claude-sonnet-4-5', messages: hello, temperature: 'hot' }, 400, /'temperature': expected a number, got a string/],
    [messages, { model: 'openai/gpt-4o', messages: hello }, 400, /max_tokens/],
    [messages, '{', 400, /not valid JSON/],
    [chat, { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'x'.repeat(30000) }] }, 413, /MAX_BODY_BYTES/],
    [messages, { model: 'claude', max_tokens: 1, messages: [{ role: 'user', content: 'x'.repeat(30000) }] }, 413, /MAX_BODY_BYTES/],
  ]) {
    const reply = await post(url, body);
    const text = await reply.text(), { type, error, request_id } = JSON.parse(text);
    assert.equal(reply.status, status, text);
    assert.match(error.message, pattern);
    if (url === messages) assert.deepEqual([type, error.type, request_id], ['error', status === 413 ? 'request_too_large' : 'invalid_request_error', reply.headers.get('x-request-id')]);
    else assert.equal(error.type, 'invalid_request_error');
  }
});

test('another content type than JSON is a 415', async () => {
  const reply = await post(`${gateway}/openai/v1/chat/completions`, 'model=x', { 'content-type': 'application/x-www-form-urlencoded' });
  assert.equal(reply.status, 415);
});

test('a page of an allowed origin may call, any other may not', async () => {
  const preflight = (origin) => fetch(`${gateway}/openai/v1/chat/completions`, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } });
  const allowed = await preflight('https://app.example');
  assert.deepEqual([allowed.status, allowed.headers.get('access-control-allow-origin')], [204, 'https://app.example']);
  assert.match(allowed.headers.get('access-control-allow-headers'), /x-bf-vk/);
  assert.match(allowed.headers.get('x-request-id'), /./);
  assert.equal((await preflight('https://evil.example')).headers.get('access-control-allow-origin'), null);
  const answer = await fetch(`${gateway}/health`, { headers: { origin: 'https://app.example' } });
  assert.equal(answer.headers.get('access-control-allow-origin'), 'https://app.example');
});
