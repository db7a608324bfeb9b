// What a provider's failure becomes for callers of each dialect and lane.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startReplay } from '../upstream/replay_server.mjs';
import { allAt, hello, post, startBareGateway } from './gateway.mjs';

let gateway, replay;
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = await startBareGateway({ ...allAt(replay.url), REQUEST_TIMEOUT_MS: '700', OLLAMA_BASE_URL: 'http://127.0.0.1:9' });
});
after(() => replay.stop());

const chat = (model, more) => post(`${gateway}/openai/v1/chat/completions`, { model, messages: hello, ...more });
const messages = (model, more) => post(`${gateway}/anthropic/v1/messages`, { model, max_tokens: 9, messages: hello, ...more });
const anthropicError = (type, message) => JSON.stringify({ type: 'error', error: { type, message }, request_id: 'req_a' });
const openaiError = (type, message, code = null) => JSON.stringify({ error: { type, message, code, param: null } });

test('a rate limit keeps its status, its waiting time and its limits', async () => {
  const headers = { 'retry-after': '7', 'anthropic-ratelimit-requests-remaining': '0', 'x-should-retry': 'true', 'request-id': 'req_a' };
  replay.answer = () => ({ status: 429, headers, body: anthropicError('rate_limit_error', 'slow down') });
  const reply = await chat('anthropic/claude-sonnet-4-5');
  assert.equal(reply.status, 429);
  assert.deepEqual((await reply.json()).error, { message: 'slow down', type: 'rate_limit_error', param: null, code: 'rate_limit_error' });
  for (const [name, value] of Object.entries(headers)) assert.equal(reply.headers.get(name), value, name);
  assert.equal(reply.headers.get('x-request-id'), 'req_a');

  replay.answer = () => ({ status: 429, headers: { 'retry-after': '3', 'x-ratelimit-remaining-tokens': '5', 'x-request-id': 'req_o' }, body: openaiError('requests', 'limit', 'rate_limit_exceeded') });
  const other = await messages('openai/gpt-4o');
  assert.deepEqual([other.status, other.headers.get('retry-after'), other.headers.get('x-ratelimit-remaining-tokens')], [429, '3', '5']);
  assert.deepEqual(await other.json(), { type: 'error', error: { type: 'rate_limit_error', message: 'limit' }, request_id: 'req_o' });
});

test('statuses map to the words of each dialect', async () => {
  for (const [status, forMessages, forChat] of [
    [400, [400, 'invalid_request_error'], [400, 'invalid_request_error']], [404, [404, 'not_found_error'], [404, 'not_found_error']],
    [413, [413, 'request_too_large'], [413, 'invalid_request_error']], [500, [500, 'api_error'], [500, 'server_error']],
    [503, [503, 'overloaded_error'], [503, 'service_unavailable_error']], [529, [529, 'overloaded_error'], [503, 'service_unavailable_error']],
  ]) {
    replay.answer = () => ({ status, body: openaiError('x', 'because') });
    const a = await messages('openai/gpt-4o');
    assert.deepEqual([a.status, (await a.json()).error.type], forMessages, `messages ${status}`);
    replay.answer = () => ({ status, body: anthropicError('x', 'because') });
    const o = await chat('anthropic/claude-sonnet-4-5');
    assert.deepEqual([o.status, (await o.json()).error.type], forChat, `chat ${status}`);
  }
});

test('Gemini\'s error, even in a list, is read', async () => {
  replay.answer = () => ({ status: 400, body: '[{"error":{"code":400,"message":"bad schema","status":"INVALID_ARGUMENT"}}]' });
  assert.deepEqual((await (await chat('gemini/gemini-2.5-flash')).json()).error, { message: 'bad schema', type: 'invalid_request_error', param: null, code: 'INVALID_ARGUMENT' });
});

test('the gateway\'s own key refused is a 502 that does not repeat what the provider said', async () => {
  for (const status of [401, 403]) {
    replay.answer = () => ({ status, body: openaiError('invalid_request_error', 'Incorrect API key provided: sk-gate***enai') });
    for (const reply of [await chat('gpt-4o'), await messages('openai/gpt-4o'), await chat('gpt-4o', { stream: true })]) {
      const text = await reply.text();
      assert.equal(reply.status, 502);
      assert.equal(reply.headers.get('x-bf-error-type'), 'upstream_authentication');
      assert.ok(!text.includes('sk-gate'), text);
    }
  }
});

test('in the identity lane an error passes unmodified', async () => {
  const body = ' {"error" : {"message":"no","type":"invalid_request_error","param":"x","code":"y"}}';
  replay.answer = () => ({ status: 400, body, headers: { 'x-should-retry': 'false' } });
  const reply = await chat('gpt-4o');
  assert.deepEqual([reply.status, await reply.text(), reply.headers.get('x-should-retry')], [400, body, 'false']);
  const overloaded = anthropicError('overloaded_error', 'Overloaded');
  replay.answer = () => ({ status: 529, body: overloaded });
  const other = await messages('claude-sonnet-4-5');
  assert.deepEqual([other.status, await other.text()], [529, overloaded]);
});

test('a page, an empty body and a cut body are told for what they are', async () => {
  const ask = async (answer) => { replay.answer = () => answer; const reply = await chat('anthropic/claude-sonnet-4-5'); return [reply.status, (await reply.json()).error.message]; };
  assert.deepEqual(await ask({ status: 502, headers: { 'content-type': 'text/html' }, body: '<html><head><title>502 Bad Gateway</title></head></html>' }), [502, 'an HTML page: 502 Bad Gateway']);
  assert.match((await ask({ status: 500, body: '' }))[1], /status 500 and no explanation/);
  const [status, message] = await ask({ status: 200, body: '' });
  assert.equal(status, 502);
  assert.match(message, /unexpected/);
  const [cut] = await ask({ status: 200, headers: { 'content-length': '500' }, body: '{"id":', cut: true });
  assert.equal(cut, 502);
});

test('a redirect is not followed', async () => {
  replay.answer = () => ({ status: 302, headers: { location: `${replay.url}/elsewhere` }, body: '' });
  const before = replay.requests.length;
  for (const model of ['gpt-4o', 'anthropic/claude-sonnet-4-5']) assert.equal((await chat(model)).status, 502);
  assert.equal(replay.requests.length, before + 2);
});

test('a provider that nobody answers for is a 502, one that is too slow a 504', async () => {
  const unreachable = await chat('ollama/llama3.1:8b');
  assert.deepEqual([unreachable.status, unreachable.headers.get('x-bf-error-type')], [502, 'upstream_unreachable']);
  replay.answer = () => ({ delay: 2500, body: '{}' });
  for (const reply of [await chat('gpt-4o'), await messages('openai/gpt-4o')]) {
    assert.deepEqual([reply.status, reply.headers.get('x-bf-error-type')], [504, 'upstream_timeout']);
  }
  assert.equal((await (await messages('claude-sonnet-4-5')).json()).error.type, 'timeout_error');
});
