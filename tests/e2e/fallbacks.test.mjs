// Trying again, and asking others: retries, fallbacks, aliases. The SDKs' own retries are switched off.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, eventsOf, hello, post, startBareGateway, startGateway } from './gateway.mjs';

const settings = { MAX_RETRIES: '2', RETRY_BACKOFF_INITIAL_MS: '5', RETRY_BACKOFF_MAX_MS: '20' };
const chatAnswer = { id: 'x', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'from chat' }, finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } };
const messagesAnswer = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [{ type: 'text', text: 'from messages' }], stop_reason: 'end_turn', stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } };
const geminiAnswer = { candidates: [{ content: { role: 'model', parts: [{ text: 'from gemini' }] }, finishReason: 'STOP', index: 0 }], usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 } };
const responsesAnswer = { id: 'resp_1', object: 'response', created_at: 1, status: 'completed', model: 'm', output: [{ id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'from responses', annotations: [] }] }], usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 } };

let gateway, replay, openai, anthropic;
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = await startGateway({
    ...allAt(replay.url), ...settings,
    MODEL_ALIASES: JSON.stringify({ fast: 'anthropic/claude-sonnet-4-5', 'gpt-*': 'openai/gpt-*', 'claude-*': 'anthropic/claude-*', 'local-*': 'ollama/*', mixed: [{ model: 'openai/a', weight: 0 }, { model: 'gemini/b', weight: 1 }] }),
  });
  openai = new OpenAI({ baseURL: `${gateway}/openai/v1`, apiKey: 'dummy-key', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: 'dummy-key', maxRetries: 0 });
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; });

/** Who was asked, by path. */
const providerOf = (url) => (url.includes('generateContent') || url.includes('GenerateContent') ? 'gemini' : url.includes('messages') ? 'anthropic' : 'openai');
const asked = () => replay.requests.map(({ url }) => providerOf(url));
const good = { openai: (url) => (url.includes('responses') ? responsesAnswer : chatAnswer), anthropic: () => messagesAnswer, gemini: () => geminiAnswer };
const answersWith = (failures) => (request) => {
  const provider = providerOf(request.url), failing = failures[provider];
  const failure = Array.isArray(failing) ? failing.shift() : failing;
  return failure ?? { body: JSON.stringify(good[provider](request.url)) };
};
const down = (status, headers = {}) => ({ status, headers, body: JSON.stringify({ type: 'error', error: { type: 'x', message: `status ${status}`, code: null } }) });

test('what may pass is tried again, and what may not is told at once', async () => {
  for (const [status, attempts] of [[408, 3], [409, 3], [429, 3], [500, 3], [502, 3], [503, 3], [504, 3], [529, 3], [400, 1], [404, 1], [413, 1], [422, 1]]) {
    for (const [model, provider] of [['gpt-4o', 'openai'], ['anthropic/claude-x', 'anthropic']]) {
      // A gateway of its own for each pair: failures in a row open circuits, which is not what is looked at here.
      replay.requests.length = 0;
      replay.answer = answersWith({ [provider]: down(status) });
      await assert.rejects(openai.chat.completions.create({ model, messages: hello }), (error) => {
        assert.equal(error.headers.get('x-bf-attempts'), String(attempts), `${status} ${model}`);
        return error.status === (status === 529 && provider === 'anthropic' ? 503 : status);
      });
      assert.equal(replay.requests.length, attempts);
    }
  }
  replay.answer = answersWith({ openai: [down(503), down(500)] });
  const { response, data } = await openai.chat.completions.create({ model: 'gpt-4o', messages: hello }).withResponse();
  assert.deepEqual([data.choices[0].message.content, response.headers.get('x-bf-attempts')], ['from chat', '3']);
});

test('a wait that the provider names is kept, up to thirty seconds', async () => {
  replay.answer = answersWith({ openai: [down(429, { 'retry-after-ms': '400' })] });
  const began = Date.now();
  await openai.chat.completions.create({ model: 'gpt-4o', messages: hello });
  assert.ok(Date.now() - began >= 400);
  for (const headers of [{ 'retry-after': '31' }, { 'retry-after': '1', 'x-should-retry': 'false' }]) {
    replay.requests.length = 0;
    replay.answer = answersWith({ openai: down(429, headers) });
    await assert.rejects(openai.chat.completions.create({ model: 'gpt-4o', messages: hello }), (error) => error.headers.get('retry-after') === headers['retry-after']);
    assert.equal(replay.requests.length, 1);
  }
});

test('nobody there is tried again, and all attempts together take no longer than the time-out', async () => {
  const slow = await startBareGateway({ ...allAt(replay.url), ...settings, REQUEST_TIMEOUT_MS: '600', OLLAMA_BASE_URL: 'http://127.0.0.1:9' });
  const unreachable = await post(`${slow}/openai/v1/chat/completions`, { model: 'ollama/m', messages: hello });
  assert.deepEqual([unreachable.status, unreachable.headers.get('x-bf-attempts')], [502, '3']);
  replay.answer = () => ({ ...down(503), delay: 250 });
  const began = Date.now();
  const reply = await post(`${slow}/openai/v1/chat/completions`, { model: 'gpt-4o', messages: hello });
  assert.ok([503, 504].includes(reply.status));
  assert.ok(Date.now() - began < 2500);
  assert.ok(replay.requests.length <= 3);
});

const errorFirst = {
  openai: { body: ['data: {"error":{"message":"overloaded","type":"server_error","code":503}}\n\n'] },
  anthropic: { body: ['event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'] },
  gemini: { body: ['data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\n\n'] },
};
test('an error as the first event of a stream is tried again, one after the first byte is the caller\'s', async () => {
  for (const [model, provider, stream] of [['gpt-4o', 'openai', streams.chat(['Hel', 'lo'])], ['claude-x', 'anthropic', streams.anthropic(['Hel', 'lo'])], ['gemini/g', 'gemini', streams.gemini(['Hel', 'lo'])]]) {
    for (const ask of [
      async () => { const { data, response } = await openai.chat.completions.create({ model, messages: hello, stream: true }).withResponse(); let text = ''; for await (const chunk of data) text += chunk.choices[0]?.delta?.content ?? ''; return [text, response]; },
      async () => { const { data, response } = await anthropic.messages.create({ model: model === 'gpt-4o' ? 'openai/gpt-4o' : model, messages: hello, max_tokens: 9, stream: true }).withResponse(); let text = ''; for await (const event of data) text += event.delta?.text ?? ''; return [text, response]; },
    ]) {
      let turn = 0;
      replay.answer = () => (turn++ === 0 ? errorFirst[provider] : { body: stream });
      const [text, response] = await ask();
      assert.deepEqual([text, response.headers.get('x-bf-attempts')], ['Hello', '2'], model);
    }
  }
  replay.requests.length = 0;
  replay.answer = () => ({ body: [...streams.anthropic(['Hel'], { done: false }), ...errorFirst.anthropic.body] });
  await (await post(`${gateway}/openai/v1/chat/completions`, { model: 'claude-x', messages: hello, stream: true })).text();
  assert.equal(replay.requests.length, 1);
  // The last attempt goes out as it came.
  replay.answer = () => errorFirst.openai;
  const last = await post(`${gateway}/openai/v1/chat/completions`, { model: 'gpt-4o', messages: hello, stream: true });
  assert.equal(await last.text(), errorFirst.openai.body[0]);
  assert.equal(last.headers.get('x-bf-attempts'), '3');
});

test('a stream that was looked at arrives byte for byte, comments first', async () => {
  const stream = [': keep-alive\n\n', ...streams.chat(['a', 'b', 'c'])];
  replay.answer = () => ({ body: stream, gap: 20 });
  const reply = await post(`${gateway}/openai/v1/chat/completions`, { model: 'gpt-4o', messages: hello, stream: true });
  assert.equal(await reply.text(), stream.join(''));
});

/** Every route, plain and streamed, with what its answer says. */
const routes = [
  ['chat', (more, stream) => post(`${gateway}/openai/v1/chat/completions`, { model: 'openai/gpt-4o', messages: hello, stream, ...more })],
  ['messages', (more, stream) => post(`${gateway}/anthropic/v1/messages`, { model: 'openai/gpt-4o', messages: hello, max_tokens: 50, stream, ...more })],
  ['responses', (more, stream) => post(`${gateway}/openai/v1/responses`, { model: 'openai/gpt-4o', input: 'Hi', stream, ...more })],
];
test('fallbacks are asked in order, on every route, plain and streamed, each in its own dialect', async () => {
  for (const [name, ask] of routes) {
    for (const stream of [false, true]) {
      replay.requests.length = 0;
      const whole = { anthropic: down(529), openai: down(503) };
      replay.answer = (request) => {
        const failure = whole[providerOf(request.url)];
        return failure ?? { body: stream ? streams.gemini(['from ', 'gemini']) : JSON.stringify(geminiAnswer) };
      };
      const reply = await ask({ fallbacks: ['anthropic/claude-x', { provider: 'gemini', model: 'g' }] }, stream);
      const text = await reply.text();
      assert.equal(reply.status, 200, `${name}: ${text}`);
      assert.deepEqual([reply.headers.get('x-bf-fallback-index'), reply.headers.get('x-bf-provider')], ['2', 'gemini'], name);
      assert.match(reply.headers.get('x-bf-attempt-status'), /gemini\/g=ok$/);
      const shown = stream ? eventsOf(text).map(({ data }) => data).join('') : text;
      assert.match(shown.replaceAll(/"[^"]*?:?\s?"/g, (part) => part), stream ? /from / : /from gemini/);
      assert.ok(replay.requests.every(({ body }) => !body.includes('fallbacks')), 'it is the gateway\'s word');
      assert.ok(replay.last().json().contents, 'Gemini is asked in Gemini\'s dialect');
    }
  }
});

test('embeddings fall back, too', async () => {
  replay.answer = ({ url }) => (url.includes('batchEmbedContents') ? { body: JSON.stringify({ embeddings: [{ values: [1, 2] }] }) } : down(503));
  const { data, response } = await openai.embeddings.create({ model: 'text-embedding-3-small', input: 'Hi', encoding_format: 'float' }, { headers: { 'x-bf-fallbacks': 'gemini/gemini-embedding-001' } }).withResponse();
  assert.deepEqual([data.data[0].embedding, response.headers.get('x-bf-fallback-index')], [[1, 2], '1']);
});

test('OpenRouter\'s models and the header name fallbacks, a bad request is nobody else\'s, and no fallback is the first error', async () => {
  replay.answer = answersWith({ openai: down(500) });
  const byModels = await openai.chat.completions.create({ model: 'openai/gpt-4o', models: ['anthropic/claude-x'], messages: hello });
  assert.equal(byModels.choices[0].message.content, 'from messages');
  const byHeader = await openai.chat.completions.create({ model: 'openai/gpt-4o', messages: hello }, { headers: { 'x-bf-fallbacks': 'gemini/g, anthropic/claude-x' } });
  assert.equal(byHeader.choices[0].message.content, 'from gemini');
  replay.requests.length = 0;
  replay.answer = answersWith({ gemini: down(400) });
  await assert.rejects(openai.chat.completions.create({ model: 'gemini/g', fallbacks: ['openai/gpt-4o'], messages: hello }), (error) => error.status === 400);
  assert.deepEqual(asked(), ['gemini']);
  replay.answer = answersWith({ gemini: down(429, { 'retry-after': '60' }), anthropic: down(529) });
  await assert.rejects(openai.chat.completions.create({ model: 'gemini/g2', fallbacks: ['anthropic/claude-x'], messages: hello }), (error) => {
    assert.match(error.headers.get('x-bf-attempt-status'), /gemini\/g2=429.*anthropic\/claude-x=529/);
    return error.status === 429 && error.headers.get('retry-after') === '60';
  });
  await assert.rejects(openai.chat.completions.create({ model: 'gpt-4o', fallbacks: [1], messages: hello }), (error) => error.status === 400 && error.param === 'fallbacks[0]');
});

test('a provider that is not configured, or whose keys are refused, leads on to the next', async () => {
  const vars = { ...allAt(replay.url), ...settings };
  delete vars.OPENAI_API_KEY;
  const bare = await startBareGateway(vars);
  replay.answer = answersWith({});
  const reply = await post(`${bare}/openai/v1/chat/completions`, { model: 'gpt-4o', fallbacks: ['anthropic/claude-x'], messages: hello });
  assert.deepEqual([reply.status, reply.headers.get('x-bf-fallback-index')], [200, '1']);
  assert.match(reply.headers.get('x-bf-attempt-status'), /openai\/gpt-4o=provider_not_configured/);
  replay.answer = answersWith({ gemini: down(403) });
  const refused = await post(`${bare}/openai/v1/chat/completions`, { model: 'gemini/g', fallbacks: ['anthropic/claude-x'], messages: hello });
  assert.equal(refused.status, 200);
});

test('three backends by the beginning of a model\'s name', async () => {
  replay.answer = answersWith({});
  for (const [model, url] of [['gpt-4o-mini', '/v1/chat/completions'], ['claude-sonnet-4-5', '/v1/messages'], ['local-llama3.1:8b', '/v1/chat/completions'], ['fast', '/v1/messages'], ['mixed', '/v1beta/models/b:generateContent']]) {
    await (await post(`${gateway}/v1/chat/completions`, { model, messages: hello })).text();
    assert.equal(replay.last().url, url, model);
    if (model.startsWith('local-')) assert.equal(replay.last().json().model, 'llama3.1:8b');
  }
  // Operations of OpenAI's own go by the alias, too.
  const named = await startBareGateway({ ...allAt(replay.url), MODEL_ALIASES: '{"tts-1":"azure/tts-1","picture":"openai/dall-e-3"}' });
  await post(`${named}/openai/v1/audio/speech`, { model: 'tts-1', input: 'Hi' });
  assert.match(replay.last().url, /^\/openai\/deployments\/tts-1\/audio/);
  await post(`${named}/openai/v1/images/generations`, { model: 'picture', prompt: 'Hi' });
  assert.deepEqual([replay.last().url, replay.last().json().model], ['/v1/images/generations', 'dall-e-3']);
  // An alias of another model is written into the body that goes on.
  await post(`${gateway}/anthropic/v1/messages`, { model: 'fast', max_tokens: 5, messages: hello });
  assert.equal(replay.last().json().model, 'claude-sonnet-4-5');
});

test('aliases that cannot be read are told by name, and whoever names a provider goes on', async () => {
  const broken = await startBareGateway({ ...allAt(replay.url), MODEL_ALIASES: '{"a":' });
  replay.answer = answersWith({});
  const reply = await post(`${broken}/openai/v1/chat/completions`, { model: 'gpt-4o', messages: hello });
  assert.deepEqual([reply.status, reply.headers.get('x-bf-error-type')], [503, 'misconfigured']);
  assert.equal((await post(`${broken}/openai/v1/chat/completions`, { model: 'openai/gpt-4o', messages: hello })).status, 200);
  assert.match((await (await fetch(`${broken}/health`)).json()).problems[0], /MODEL_ALIASES/);
});

test('a tool conversation falls from Anthropic to OpenAI to Gemini, with each turn in the dialect of whoever answers', async () => {
  const tools = [{ name: 'weather', description: 'The weather', input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } }];
  const ask = (messages) => anthropic.messages.create({ model: 'claude-sonnet-4-5', max_tokens: 2000, thinking: { type: 'enabled', budget_tokens: 1024 }, tools, messages, fallbacks: ['openai/gpt-4o', 'gemini/gemini-2.5-flash'] });
  const messages = [{ role: 'user', content: 'Weather in Lisbon, then in Porto?' }];
  const thinking = { type: 'thinking', thinking: 'Lisbon first.', signature: 'EqQBc2lnbmVk' };
  replay.answer = () => ({ body: JSON.stringify({ ...messagesAnswer, content: [thinking, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Lisbon' } }], stop_reason: 'tool_use' }) });
  const first = await ask(messages);
  messages.push({ role: 'assistant', content: first.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'sunny' }] });
  // Anthropic goes down: OpenAI is told of the call and its result, and not of Anthropic's signature.
  const call = { id: 'call_2', type: 'function', function: { name: 'weather', arguments: '{"city":"Porto"}' } };
  replay.answer = ({ url }) => (url.includes('messages') ? down(529) : { body: JSON.stringify({ ...chatAnswer, choices: [{ index: 0, message: { role: 'assistant', content: null, tool_calls: [call] }, finish_reason: 'tool_calls' }] }) });
  const second = await ask(messages);
  assert.deepEqual(replay.last().json().messages.map(({ role }) => role), ['user', 'assistant', 'tool']);
  assert.ok(!replay.last().body.includes('EqQBc2lnbmVk'));
  const use = second.content.find(({ type }) => type === 'tool_use');
  assert.deepEqual([use.name, use.input, second.stop_reason], ['weather', { city: 'Porto' }, 'tool_use']);
  messages.push({ role: 'assistant', content: second.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'rainy' }] });
  // OpenAI goes down as well.
  replay.answer = answersWith({ anthropic: down(529), openai: down(503) });
  const third = await ask(messages);
  assert.equal(third.content.find(({ type }) => type === 'text').text, 'from gemini');
  const { contents } = replay.last().json();
  assert.deepEqual(contents.map(({ role, parts }) => [role, ...parts.flatMap((part) => Object.keys(part).filter((key) => key.startsWith('function')))]),
    [['user'], ['model', 'functionCall'], ['user', 'functionResponse'], ['model', 'functionCall'], ['user', 'functionResponse']]);
  // And Anthropic comes back: its own thinking returns to it to the letter.
  messages.push({ role: 'assistant', content: third.content }, { role: 'user', content: 'Thanks' });
  replay.answer = answersWith({});
  await ask(messages);
  assert.ok(replay.requests.some(({ url, body }) => url.includes('messages') && body.includes('EqQBc2lnbmVk')));
});
