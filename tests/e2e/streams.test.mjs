// Streams that go well and streams that do not.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inPieces, startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, eventsOf, hello, post, startBareGateway } from './gateway.mjs';

let gateway, replay;
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = await startBareGateway({ ...allAt(replay.url), STREAM_IDLE_TIMEOUT_MS: '400' });
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; });

const words = ['Grüße', ' aus', ' 東京', ' 🌍!'];
const pairs = [
  { caller: 'chat', model: 'anthropic/claude-sonnet-4-5', stream: streams.anthropic },
  { caller: 'chat', model: 'gemini/gemini-2.5-flash', stream: streams.gemini },
  { caller: 'messages', model: 'openai/gpt-4o', stream: streams.chat },
  { caller: 'messages', model: 'gemini/gemini-2.5-flash', stream: streams.gemini },
  { caller: 'messages', model: 'openai/gpt-5-mini', stream: streams.responses },
  { caller: 'responses', model: 'anthropic/claude-sonnet-4-5', stream: streams.anthropic },
  { caller: 'responses', model: 'ollama/llama3.1:8b', stream: streams.chat },
  { caller: 'responses', model: 'gemini/gemini-2.5-flash', stream: streams.gemini },
];
const paths = { chat: '/openai/v1/chat/completions', messages: '/anthropic/v1/messages', responses: '/openai/v1/responses' };
const request = ({ caller, model }, more = {}) => caller === 'responses'
  ? { model, input: hello, stream: true, store: false, ...more }
  : { model, messages: hello, stream: true, ...(caller === 'messages' && { max_tokens: 99 }), ...more };
const ask = (pair, more) => post(gateway + paths[pair.caller], request(pair, more));

/** What a caller makes of a stream: its text, and how it ended. */
function read(caller, text) {
  const events = eventsOf(text);
  const parsed = events.filter(({ data }) => data !== '[DONE]').map(({ data }) => JSON.parse(data));
  if (caller === 'responses') {
    const failed = parsed.find((e) => e.type === 'response.failed')?.response.error ?? parsed.find((e) => e.type === 'error');
    const said = parsed.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join('');
    return { said, done: parsed.filter((e) => e.type === 'response.completed').length, error: failed && { message: failed.message, type: failed.code }, parsed };
  }
  return caller === 'chat'
    ? { said: parsed.map((e) => e.choices?.[0]?.delta?.content ?? '').join(''), done: events.filter(({ data }) => data === '[DONE]').length, error: parsed.find((e) => e.error)?.error, parsed }
    : { said: parsed.map((e) => e.delta?.text ?? '').join(''), done: parsed.filter((e) => e.type === 'message_stop').length, error: parsed.find((e) => e.type === 'error')?.error, parsed };
}

for (const pair of pairs) {
  const name = `${pair.caller} on ${pair.model}`;

  test(`${name}: the same text however the bytes are cut`, async () => {
    const stream = pair.stream(words);
    for (const body of [stream, inPieces(stream.join(''), 1), inPieces(stream.join(''), 13), [stream.join('')]]) {
      replay.answer = () => ({ body, gap: body.length > 100 ? 0 : 1 });
      const reply = await ask(pair);
      assert.match(reply.headers.get('content-type'), /^text\/event-stream/);
      const { said, done, error } = read(pair.caller, await reply.text());
      assert.deepEqual([said, done, error], [words.join(''), 1, undefined]);
    }
  });

  test(`${name}: a cut ends in an error event and no clean end`, async () => {
    for (const fault of [{ cut: true }, {}]) {
      replay.answer = () => ({ body: pair.stream(words, { done: false }), ...fault });
      const { said, done, error } = read(pair.caller, await (await ask(pair)).text());
      assert.deepEqual([said, done], [words.join(''), 0]);
      assert.match(error.message, /broke off/);
      assert.equal(error.type, pair.caller === 'messages' ? 'api_error' : 'server_error');
    }
  });

  test(`${name}: silence ends in an error event, and the upstream is let go`, async () => {
    replay.answer = () => ({ body: pair.stream(words, { done: false }), stall: 5000 });
    const begun = Date.now();
    const { said, done, error } = read(pair.caller, await (await ask(pair)).text());
    assert.deepEqual([said, done], [words.join(''), 0]);
    assert.match(error.message, /silent for 400 ms/);
    assert.ok(Date.now() - begun < 4000);
    await until(() => replay.last().closed && !replay.last().finished);
  });

  test(`${name}: an empty answer is an error, not an empty success`, async () => {
    replay.answer = () => ({ body: [''] });
    const { done, error } = read(pair.caller, await (await ask(pair)).text());
    assert.equal(done, 0);
    assert.match(error.message, /broke off/);
  });

  test(`${name}: the first byte comes before the provider's last`, async () => {
    replay.answer = () => ({ body: pair.stream(words), gap: 150 });
    const reader = (await ask(pair)).body.getReader();
    const begun = Date.now();
    await reader.read();
    assert.ok(!replay.last().closed, 'the provider is still writing');
    assert.ok(Date.now() - begun < 600);
    while (!(await reader.read()).done);
  });

  test(`${name}: when the caller goes, the upstream is closed`, async () => {
    replay.answer = () => ({ body: [...pair.stream(words, { done: false }), ...Array(200).fill(': ping\n\n')], gap: 50 });
    const abort = new AbortController();
    const reply = await fetch(gateway + paths[pair.caller], { method: 'POST', signal: abort.signal, headers: { 'content-type': 'application/json' }, body: JSON.stringify(request(pair)) });
    await reply.body.getReader().read();
    abort.abort();
    await until(() => replay.last().closed && !replay.last().finished);
  });
}

test('an error event in mid-stream arrives in the caller\'s own words', async () => {
  const error = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n';
  replay.answer = () => ({ body: [...streams.anthropic(['a'], { done: false }), error] });
  const chat = read('chat', await (await ask(pairs[0])).text());
  assert.deepEqual([chat.said, chat.done, chat.error.message, chat.error.code], ['a', 0, 'Overloaded', 'overloaded_error']);
  replay.answer = () => ({ body: [...streams.chat(['a'], { done: false }), 'data: {"error":{"message":"Rate limit","type":"rate_limit_error","code":429}}\n\n'] });
  const messages = read('messages', await (await ask(pairs[2])).text());
  assert.deepEqual([messages.said, messages.done, messages.error], ['a', 0, { type: 'rate_limit_error', message: 'Rate limit' }]);
});

test('usage comes to a chat caller exactly when asked for, in a last chunk of its own', async () => {
  replay.answer = () => ({ body: streams.anthropic(words) });
  const without = read('chat', await (await ask(pairs[0])).text()).parsed;
  assert.ok(without.every((chunk) => !('usage' in chunk)));
  const chunks = read('chat', await (await ask(pairs[0], { stream_options: { include_usage: true } })).text()).parsed;
  const last = chunks.at(-1);
  assert.deepEqual([last.choices, last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens], [[], 9, 4, 13]);
  assert.ok(chunks.slice(0, -1).every((chunk) => chunk.usage === null && chunk.id === last.id && chunk.created === last.created && chunk.model === last.model));
});

test('in the identity lane a cut reaches the caller as a cut', async () => {
  replay.answer = () => ({ body: streams.chat(words, { done: false }), cut: true });
  const reply = await post(`${gateway}/openai/v1/chat/completions`, { model: 'gpt-4o', messages: hello, stream: true });
  await assert.rejects(reply.text());
});

test('in the identity lane, too, the upstream is closed when the caller goes', async () => {
  replay.answer = () => ({ body: Array(200).fill(': ping\n\n'), gap: 50 });
  const abort = new AbortController();
  const reply = await fetch(`${gateway}/openai/v1/chat/completions`, { method: 'POST', signal: abort.signal, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'gpt-4o', messages: hello, stream: true }) });
  await reply.body.getReader().read();
  abort.abort();
  await until(() => replay.last().closed && !replay.last().finished);
});

async function until(condition) {
  for (let i = 0; i < 60 && !condition(); i++) await sleep(50);
  assert.ok(condition(), 'in three seconds');
}
