// The Responses API for every provider, with OpenAI's own SDK: items, stored responses, reasoning there and back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import OpenAI from 'openai';
import { startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, eventsOf, hello, post, root, startGateway } from './gateway.mjs';

let gateway, replay, openai;
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = await startGateway(allAt(replay.url), ['key-1', 'key-2']);
  openai = new OpenAI({ baseURL: `${gateway}/openai/v1`, apiKey: 'dummy-key', maxRetries: 0 });
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; });

const claude = 'anthropic/claude-sonnet-4-5';
const message = (content, stop_reason = 'end_turn') => ({ body: JSON.stringify({ id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content, stop_reason, stop_sequence: null, usage: { input_tokens: 9, output_tokens: 4 } }) });
const says = (text) => message([{ type: 'text', text }]);
const tool = { type: 'function', name: 'weather', description: 'The weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false }, strict: true };
const thinking = { type: 'thinking', thinking: 'They want the weather.', signature: 'EqQBc2lnbmVk' };

test('a tool loop by previous_response_id replays the calls, the results and the thinking', async () => {
  replay.answer = () => message([thinking, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Lisbon' } }], 'tool_use');
  const first = await openai.responses.create({ model: claude, input: 'Weather in Lisbon?', tools: [tool], reasoning: { effort: 'low', summary: 'auto' } });
  const call = first.output.find(({ type }) => type === 'function_call');
  assert.deepEqual([call.name, call.arguments, first.output[0].summary[0].text], ['weather', '{"city":"Lisbon"}', thinking.thinking]);
  replay.answer = () => says('It is sunny.');
  const output = { type: 'function_call_output', call_id: call.call_id, output: 'sunny' };
  const second = await openai.responses.create({ model: claude, previous_response_id: first.id, input: [output], tools: [tool], reasoning: { effort: 'low' } });
  assert.equal(second.output_text, 'It is sunny.');
  assert.equal(second.previous_response_id, first.id);
  const sent = replay.last().json();
  assert.deepEqual(sent.messages, [
    { role: 'user', content: 'Weather in Lisbon?' },
    { role: 'assistant', content: [thinking, { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Lisbon' } }] },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: 'sunny' }] },
  ]);
  replay.answer = () => says('You are welcome.');
  await openai.responses.create({ model: claude, previous_response_id: second.id, input: 'Thanks' });
  assert.deepEqual(replay.last().json().messages.map(({ role }) => role), ['user', 'assistant', 'user', 'assistant', 'user']);
});

test('a streamed response can be continued as soon as its end is heard', async () => {
  replay.answer = () => ({ body: streams.anthropic(['Hel', 'lo']) });
  const stream = openai.responses.stream({ model: claude, input: 'Hi' });
  const types = [];
  for await (const event of stream) types.push(event.type);
  const first = await stream.finalResponse();
  assert.deepEqual([first.output_text, first.status, first.usage.total_tokens], ['Hello', 'completed', 11]);
  assert.deepEqual(types, ['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added', 'response.output_text.delta', 'response.output_text.delta',
    'response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed']);
  replay.answer = () => says('Again');
  await openai.responses.create({ model: claude, previous_response_id: first.id, input: 'And?' });
  assert.deepEqual(replay.last().json().messages.map(({ content }) => content), ['Hi', 'Hello', 'And?']);
});

test('a stored response is shown, listed and forgotten, and nobody else finds it', async () => {
  const mine = { headers: { 'x-bf-vk': 'key-1' } }, theirs = { headers: { 'x-bf-vk': 'key-2' } };
  replay.answer = () => says('Kept');
  const made = await openai.responses.create({ model: claude, input: [{ role: 'user', content: 'One' }, { role: 'user', content: [{ type: 'input_text', text: 'Two' }] }], metadata: { project: 'x' } }, mine);
  const { _request_id, output_text, ...shown } = await openai.responses.retrieve(made.id, {}, mine);
  assert.equal(output_text, 'Kept');
  assert.deepEqual(shown.output, made.output);
  assert.deepEqual(shown.metadata, { project: 'x' });
  const items = await openai.responses.inputItems.list(made.id, { order: 'asc' }, mine);
  assert.deepEqual(items.data.map(({ type, content }) => [type, content[0].text]), [['message', 'One'], ['message', 'Two']]);
  const page = await openai.responses.inputItems.list(made.id, { limit: 1 }, mine);
  assert.deepEqual([page.data[0].content[0].text, page.has_more], ['Two', true]);
  const missing = (promise) => assert.rejects(promise, (error) => error instanceof OpenAI.NotFoundError && error.message.includes('not found') && error.type === 'not_found_error');
  await missing(openai.responses.retrieve(made.id, {}, theirs));
  await missing(openai.responses.retrieve(made.id));
  await missing(openai.responses.delete(made.id, theirs));
  await missing(openai.responses.create({ model: claude, previous_response_id: made.id, input: 'x' }, theirs));
  await assert.rejects(openai.responses.cancel(made.id, mine), OpenAI.BadRequestError);
  await openai.responses.delete(made.id, mine);
  await missing(openai.responses.retrieve(made.id, {}, mine));
  await missing(openai.responses.create({ model: claude, previous_response_id: made.id, input: 'x' }, mine));
});

test('store: false keeps nothing', async () => {
  replay.answer = () => says('Gone');
  const made = await openai.responses.create({ model: claude, input: 'Hi', store: false });
  assert.equal(made.store, false);
  await assert.rejects(openai.responses.retrieve(made.id), OpenAI.NotFoundError);
});

test('a conversation whose beginning is gone is not answered without it', async () => {
  replay.answer = () => says('x');
  const first = await openai.responses.create({ model: claude, input: 'a' });
  const second = await openai.responses.create({ model: claude, input: 'b', previous_response_id: first.id });
  await openai.responses.delete(first.id);
  const asked = replay.requests.length;
  await assert.rejects(openai.responses.create({ model: claude, input: 'c', previous_response_id: second.id }), (error) => error.status === 404 && error.code === 'previous_response_not_found' && error.message.includes(first.id));
  assert.equal(replay.requests.length, asked);
});

test('an id that another provider gave out is unknown here, and goes to that provider when it is asked for', async () => {
  await assert.rejects(openai.responses.create({ model: claude, input: 'x', previous_response_id: 'resp_0abc' }), OpenAI.NotFoundError);
  assert.equal(replay.requests.length, 0);
  replay.answer = () => ({ body: '{"id":"resp_0abc","object":"response","output":[]}' });
  await openai.responses.retrieve('resp_0abc', { include: ['reasoning.encrypted_content'] });
  assert.deepEqual([replay.last().method, replay.last().url], ['GET', '/v1/responses/resp_0abc?include%5B%5D=reasoning.encrypted_content']);
  await openai.responses.cancel('resp_0abc', { headers: { 'x-model-provider': 'azure' } });
  assert.deepEqual([replay.last().method, replay.last().url], ['POST', '/openai/v1/responses/resp_0abc/cancel']);
});

test('a conversation begun on another provider goes on natively at OpenAI, without what that provider signed', async () => {
  replay.answer = () => message([thinking, { type: 'text', text: 'Hello' }]);
  const first = await openai.responses.create({ model: claude, input: 'Hi' });
  replay.answer = () => ({ body: '{"id":"resp_1","object":"response","output":[]}' });
  await openai.responses.create({ model: 'openai/gpt-5-mini', previous_response_id: first.id, input: 'And you?' });
  const { input, previous_response_id } = replay.last().json();
  assert.equal(previous_response_id, undefined);
  assert.deepEqual(input.map(({ role, content, id }) => [role, content[0].text, id]), [['user', 'Hi', undefined], ['assistant', 'Hello', undefined], ['user', 'And you?', undefined]]);
});

test('at OpenAI the provider\'s own references stay as they are beside the gateway\'s, which are written out', async () => {
  replay.answer = () => message([thinking, { type: 'text', text: 'Hello' }]);
  const first = await openai.responses.create({ model: claude, input: 'Hi' });
  replay.answer = () => ({ body: '{"id":"resp_1","object":"response","output":[]}' });
  const mine = first.output.find(({ type }) => type === 'message').id;
  const tagged = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'finops.google-gemini-v1.tool.x' };
  const unsigned = { type: 'reasoning', id: 'rs_fgabc_0', summary: [{ type: 'summary_text', text: 'Hm' }], encrypted_content: null };
  await openai.responses.create({ model: 'openai/gpt-5', previous_response_id: 'resp_68', input: [{ type: 'item_reference', id: mine }, tagged, unsigned, { type: 'item_reference', id: 'msg_68abc' }, ...hello] });
  let sent = replay.last().json();
  assert.deepEqual([sent.previous_response_id, sent.input.map(({ type, id }) => [type, id])], ['resp_68', [['message', undefined], ['item_reference', 'msg_68abc'], ['message', undefined]]]);
  await openai.responses.create({ model: 'openai/gpt-5', previous_response_id: first.id, input: [tagged, ...hello] });
  sent = replay.last().json();
  assert.deepEqual(sent.input.map(({ role, content }) => [role, content[0].text]), [['user', 'Hi'], ['assistant', 'Hello'], ['user', 'Hello!']]);
  const reply = await post(`${gateway}/openai/v1/responses`, { model: 'openai/gpt-5', input: [unsigned, ...hello] });
  assert.equal(reply.headers.get('x-bf-dropped-params'), 'input[0]');
  assert.deepEqual(replay.last().json().input, hello);
});

test('an id is one segment of a path and can be nothing else', async () => {
  for (const id of ['x%2F..%2F..%2Fmodels', 'x%3Fq%3D1', '..%2Fchat%2Fcompletions%3F', '%2e%2e', 'a b', 'é']) {
    for (const [method, target] of [['GET', id], ['DELETE', id], ['POST', `${id}/cancel`]]) {
      const reply = await fetch(`${gateway}/openai/v1/responses/${target}`, { method });
      assert.ok([404, 405].includes(reply.status), `${method} ${target}: ${reply.status}`);
    }
  }
  assert.equal(replay.requests.length, 0);
  await assert.rejects(openai.responses.create({ model: claude, input: 'x', previous_response_id: 5 }), (error) => error.status === 400 && error.param === 'previous_response_id');
});

test('Azure is asked in the version of the API that the caller speaks', async () => {
  replay.answer = () => ({ body: '{"id":"resp_1","object":"response","status":"completed","output":[]}' });
  for (const [method, path, body, url] of [
    ['POST', '/openai/openai/responses?api-version=2025-03-01-preview', { model: 'azure/gpt-5', input: 'x' }, '/openai/responses?api-version=2025-03-01-preview'],
    ['POST', '/openai/openai/v1/responses?api-version=preview', { model: 'azure/gpt-5', input: 'x' }, '/openai/v1/responses?api-version=preview'],
    ['POST', '/openai/v1/responses', { model: 'azure/gpt-5', input: 'x' }, '/openai/v1/responses'],
    ['POST', '/openai/openai/deployments/gpt-5-codex/chat/completions?api-version=2024-10-21', { messages: hello }, '/openai/v1/responses'],
    ['GET', '/openai/openai/responses/resp_1?api-version=2025-03-01-preview&provider=azure', undefined, '/openai/responses/resp_1?api-version=2025-03-01-preview'],
  ]) {
    await fetch(gateway + path, { method, body: body && JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    assert.equal(replay.last().url, url, path);
  }
});

test('on openai and azure the request goes as it came', async () => {
  const answer = '{ "id":"resp_1","object":"response", "output":[], "new":1.50 }';
  replay.answer = () => ({ body: answer });
  for (const [model, url, name] of [['gpt-4o', '/v1/responses', 'gpt-4o'], ['openai/o3', '/v1/responses', 'o3'], ['azure/gpt-5-mini', '/openai/v1/responses', 'gpt-5-mini']]) {
    const reply = await post(`${gateway}/openai/v1/responses`, `{"model":"${model}", "input" : "h\\u00e9", "previous_response_id":"resp_0", "unknown":{"z":1.0}}`);
    assert.equal(await reply.text(), answer);
    assert.equal(replay.last().url, url);
    assert.equal(replay.last().body.toString(), `{"model":"${name}", "input" : "h\\u00e9", "previous_response_id":"resp_0", "unknown":{"z":1.0}}`);
  }
  for (const path of ['/openai/responses', '/openai/openai/responses', '/v1/responses']) {
    assert.equal((await post(gateway + path, { model: 'openai/gpt-4o', input: 'x' })).status, 200, path);
  }
});

const encrypted = { id: 'rs_1', type: 'reasoning', summary: [{ type: 'summary_text', text: 'Thinking about it.' }], encrypted_content: 'gAAAencrypted' };
const response = (output) => ({ body: JSON.stringify({ id: 'resp_1', object: 'response', created_at: 1, status: 'completed', error: null, incomplete_details: null, model: 'gpt-5-mini', output, usage: { input_tokens: 9, input_tokens_details: { cached_tokens: 0 }, output_tokens: 8, output_tokens_details: { reasoning_tokens: 5 }, total_tokens: 17 } }) });
const functionCall = { id: 'fc_1', type: 'function_call', status: 'completed', call_id: 'call_1', name: 'weather', arguments: '{"city":"Lisbon"}' };

test('a Messages caller reaches a reasoning model of OpenAI and gives its encrypted reasoning back', async () => {
  replay.answer = () => response([encrypted, functionCall]);
  const request = { model: 'openai/gpt-5-mini', max_tokens: 100, thinking: { type: 'enabled', budget_tokens: 2000 }, tools: [{ name: 'weather', input_schema: tool.parameters }], messages: hello };
  const first = await (await post(`${gateway}/anthropic/v1/messages`, request)).json();
  assert.equal(replay.last().url, '/v1/responses');
  assert.deepEqual(replay.last().json().reasoning, { effort: 'low', summary: 'auto' });
  assert.deepEqual(first.content.map(({ type }) => type), ['thinking', 'tool_use']);
  assert.equal(first.usage.output_tokens_details.thinking_tokens, 5);
  const messages = [...hello, { role: 'assistant', content: first.content }, { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'sunny' }] }];
  await post(`${gateway}/anthropic/v1/messages`, { ...request, messages });
  const sent = replay.last().json();
  assert.deepEqual([sent.store, sent.include], [false, ['reasoning.encrypted_content']]);
  assert.deepEqual(sent.input.slice(1), [
    { type: 'reasoning', id: 'rs_1', summary: encrypted.summary, encrypted_content: 'gAAAencrypted' },
    { type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '{"city":"Lisbon"}' },
    { type: 'function_call_output', call_id: 'call_1', output: 'sunny' },
  ]);
});

test('a chat caller who asks for reasoning gets it from OpenAI, and gives it back', async () => {
  replay.answer = () => response([encrypted, functionCall]);
  const request = { model: 'openai/gpt-5-mini', reasoning: { effort: 'high' }, tools: [{ type: 'function', function: { name: 'weather', parameters: tool.parameters } }], messages: hello };
  const first = await (await post(`${gateway}/openai/v1/chat/completions`, request)).json();
  const said = first.choices[0].message;
  assert.equal(said.reasoning_content, 'Thinking about it.');
  assert.deepEqual(said.reasoning_details.map(({ type, data, id }) => [type, data, id]), [['reasoning.summary', undefined, undefined], ['reasoning.encrypted', 'gAAAencrypted', 'rs_1']]);
  // The second turn says nothing of reasoning but in the conversation.
  await post(`${gateway}/openai/v1/chat/completions`, { model: request.model, messages: [...hello, said, { role: 'tool', tool_call_id: 'call_1', content: 'sunny' }] });
  assert.equal(replay.last().url, '/v1/responses');
  assert.deepEqual(replay.last().json().input[1], { type: 'reasoning', id: 'rs_1', summary: encrypted.summary, encrypted_content: 'gAAAencrypted' });
  await post(`${gateway}/openai/v1/chat/completions`, { model: request.model, messages: hello });
  assert.equal(replay.last().url, '/v1/chat/completions', 'who does not ask goes as they came');
  await post(`${gateway}/openai/v1/chat/completions`, { model: 'openai/o3-pro', messages: hello });
  assert.equal(replay.last().url, '/v1/responses', 'this model speaks nothing else');
});

test('custom tools take and give plain text where a provider has functions only', async () => {
  const custom = { type: 'custom', name: 'run_code', description: 'Runs it', format: { type: 'grammar', syntax: 'lark', definition: 'start: /.+/' } };
  replay.answer = () => message([{ type: 'tool_use', id: 'toolu_1', name: 'run_code', input: { input: 'print("hi")\n' } }], 'tool_use');
  const first = await post(`${gateway}/openai/v1/responses`, { model: claude, input: 'Run it', tools: [custom] });
  assert.equal(first.headers.get('x-bf-dropped-params'), 'tools[0].format');
  assert.match(replay.last().json().tools[0].description, /start: \/\.\+\//);
  const { id, output } = await first.json();
  assert.deepEqual([output[0].type, output[0].input], ['custom_tool_call', 'print("hi")\n']);
  await openai.responses.create({ model: claude, previous_response_id: id, input: [{ type: 'custom_tool_call_output', call_id: 'toolu_1', output: 'hi' }], tools: [custom] });
  assert.deepEqual(replay.last().json().messages[1].content[0].input, { input: 'print("hi")\n' });
  replay.answer = () => ({ body: streams.anthropic([]).slice(0, 1).concat(
    ['{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_2","name":"run_code","input":{}}}', '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\\"input\\":\\"1"}}',
      '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"+1\\"}"}}', '{"type":"content_block_stop","index":0}', '{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":1}}', '{"type":"message_stop"}']
      .map((data) => `event: ${JSON.parse(data).type}\ndata: ${data}\n\n`)) });
  const events = eventsOf(await (await post(`${gateway}/openai/v1/responses`, { model: claude, input: 'x', tools: [custom], stream: true, store: false })).text());
  assert.equal(JSON.parse(events.find(({ event }) => event === 'response.custom_tool_call_input.done').data).input, '1+1');
});

test('tools of a namespace, and those added in the course of a conversation, are offered and called by their names', async () => {
  const space = (name, tools) => ({ type: 'namespace', name, description: 'd', tools });
  replay.answer = () => message([{ type: 'tool_use', id: 'toolu_1', name: 'clock__now', input: {} }, { type: 'tool_use', id: 'toolu_2', name: 'code__run', input: { input: '1+1' } }], 'tool_use');
  const input = [{ type: 'additional_tools', role: 'developer', tools: [space('code', [{ type: 'custom', name: 'run' }])] }, ...hello];
  const tools = [space('clock', [{ ...tool, name: 'now' }])];
  const { output } = await openai.responses.create({ model: claude, input, tools, store: false });
  assert.deepEqual(replay.last().json().tools.map(({ name }) => name), ['clock__now', 'code__run']);
  assert.deepEqual(output.map(({ type, name, namespace }) => [type, name, namespace]), [['function_call', 'now', 'clock'], ['custom_tool_call', 'run', 'code']]);
  const results = [{ type: 'function_call_output', call_id: 'toolu_1', output: 'noon' }, { type: 'custom_tool_call_output', call_id: 'toolu_2', output: '2' }];
  await openai.responses.create({ model: claude, input: [...input, ...output, ...results], tools, store: false });
  assert.deepEqual(replay.last().json().messages[1].content.map(({ name }) => name), ['clock__now', 'code__run']);
});

test('a tool without arguments is told whole in a stream', async () => {
  replay.answer = () => ({ body: streams.chat([], { done: false }).concat(
    'data: {"id":"c","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"now","arguments":""}},{"index":1,"id":"call_b","type":"function","function":{"name":"here","arguments":"{}"}}]},"finish_reason":null}]}\n\n',
    'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n', 'data: [DONE]\n\n') });
  const final = await openai.responses.stream({ model: 'ollama/m', input: 'x', store: false, tools: [{ ...tool, name: 'now' }] }).finalResponse();
  assert.deepEqual(final.output.map(({ call_id, arguments: args, status }) => [call_id, args, status]), [['call_a', '{}', 'completed'], ['call_b', '{}', 'completed']]);
});

test('what only OpenAI can do is refused by name, and what is lost is named', async () => {
  for (const [body, param] of [[{ background: true }, 'background'], [{ conversation: 'conv_1' }, 'conversation'], [{ tool_choice: 'required', tools: [{ type: 'web_search' }] }, 'tool_choice'], [{ tool_choice: { type: 'file_search' } }, 'tool_choice']]) {
    await assert.rejects(openai.responses.create({ model: claude, input: 'x', ...body }), (error) => error.status === 400 && error.param === param, param);
  }
  replay.answer = () => says('x');
  const reply = await post(`${gateway}/openai/v1/responses`, { model: claude, input: 'x', truncation: 'auto', max_tool_calls: 2, tools: [{ type: 'web_search' }], store: false });
  assert.equal(reply.headers.get('x-bf-dropped-params'), 'tools[0],truncation,max_tool_calls');
  const strict = await post(`${gateway}/openai/v1/responses`, { model: claude, input: 'x', truncation: 'auto' }, { 'x-bf-strict': 'true' });
  assert.equal(strict.status, 400);
});

test('a token limit ends a response as incomplete', async () => {
  replay.answer = () => message([{ type: 'text', text: 'Cut' }], 'max_tokens');
  const reply = await openai.responses.create({ model: claude, input: 'x', max_output_tokens: 20, store: false });
  assert.deepEqual([reply.status, reply.incomplete_details, reply.max_output_tokens], ['incomplete', { reason: 'max_output_tokens' }, 20]);
});

test('tokens are counted by the provider where it can, and estimated where it cannot', async () => {
  replay.answer = () => ({ body: '{"object":"response.input_tokens","input_tokens":7}' });
  assert.equal((await openai.responses.inputTokens.count({ model: 'gpt-4o', input: 'Hello' })).input_tokens, 7);
  assert.equal(replay.last().url, '/v1/responses/input_tokens');
  const estimate = await openai.responses.inputTokens.count({ model: claude, input: 'Hello there' }).asResponse();
  assert.equal(estimate.headers.get('x-bf-token-count'), 'estimate');
  assert.ok((await estimate.json()).input_tokens > 2);
});

test('a WebSocket is declined in the words that make Codex use HTTP at once', async () => {
  assert.equal((await fetch(`${gateway}/openai/v1/responses`)).status, 426);
});

test("a response has every member that OpenAI's own types declare", async () => {
  const script = 'import json; from openai.types.responses import Response; print(json.dumps(list(Response.model_fields)))';
  const declared = JSON.parse(execFileSync(path.join(root, '.tools/venv/bin/python'), ['-c', script]));
  assert.ok(declared.length > 35, 'the types are there');
  replay.answer = () => says('Hi');
  const response = await (await post(`${gateway}/openai/v1/responses`, { model: claude, input: 'Hi', store: false })).json();
  // A text where the request names a user; the specification has no null for it.
  assert.deepEqual(declared.filter((name) => !(name in response)), ['user']);
});
