// Which headers reach a provider: what the gateway sends, what the caller and the owner let pass, and nothing else.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { startReplay } from '../upstream/replay_server.mjs';
import { allAt, hello, post, startBareGateway } from './gateway.mjs';

let replay, gateway, listed;
before(async () => {
  replay = await startReplay(() => ({ body: '{"id":"x","object":"chat.completion","choices":[]}' }));
  gateway = await startBareGateway(allAt(replay.url), undefined, undefined, undefined, {}, { keys: ['vk'] });
  listed = await startBareGateway({ ...allAt(replay.url), HEADER_ALLOWLIST: 'anthropic-beta, x-team-*, cookie, authorization', HEADER_DENYLIST: 'x-team-secret, openai-organization', REQUIRED_HEADERS: 'X-Team, x-cost-center' });
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; });

const chat = (at, model, headers, more) => post(`${at}/openai/v1/chat/completions`, { model, messages: hello, ...more }, headers);
const messages = (at, model, headers, more) => post(`${at}/anthropic/v1/messages`, { model, max_tokens: 9, messages: hello, ...more }, headers);
const sent = () => replay.last().headers;
const team = { 'x-team': 'red', 'x-cost-center': '7' };

test('exactly these headers arrive, whatever the caller sends', async () => {
  const everything = {
    authorization: 'Bearer sk-caller', 'x-api-key': 'caller', 'api-key': 'caller', cookie: 'a=b', 'x-bf-vk': 'vk', 'x-forwarded-for': '1.2.3.4', 'x-real-ip': '1.2.3.4', forwarded: 'for=x', 'cf-connecting-ip': '1.2.3.4',
    'x-stainless-lang': 'js', 'user-agent': 'me', referer: 'http://x', origin: 'http://x', 'x-custom': 'x', traceparent: '00-x', 'openai-beta': 'assistants=v2', 'idempotency-key': 'i-1', 'anthropic-version': '2026-01-01',
  };
  const own = ['accept', 'accept-encoding', 'accept-language', 'connection', 'content-length', 'content-type', 'host', 'sec-fetch-mode', 'transfer-encoding', 'user-agent'];
  for (const [model, expected] of [
    ['openai/gpt-4o', ['authorization', 'idempotency-key', 'openai-beta']], ['anthropic/claude-x', ['anthropic-version', 'x-api-key']], ['gemini/g', ['x-goog-api-key']],
    ['vertex/g', ['x-goog-api-key']], ['azure/gpt-4o', ['api-key', 'idempotency-key', 'openai-beta']], ['ollama/m', ['idempotency-key', 'openai-beta']],
  ]) {
    await chat(gateway, model, everything);
    assert.deepEqual(Object.keys(sent()).filter((name) => !own.includes(name)).sort(), expected, model);
    assert.ok(!JSON.stringify(sent()).includes('caller'), model);
  }
});

test('x-bf-eh- passes a header on without its prefix, except what never passes', async () => {
  const asked = { 'x-bf-eh-x-trace': 't-1', 'x-bf-eh-authorization': 'Bearer evil', 'x-bf-eh-cookie': 'a=b', 'x-bf-eh-host': 'evil', 'x-bf-eh-x-bf-vk': 'x', 'x-bf-eh-cf-ray': 'x', 'x-bf-eh-connection': 'close', 'x-bf-eh-x-api-key': 'evil', 'x-bf-eh-content-type': 'text/evil' };
  for (const model of ['gpt-4o', 'anthropic/claude-x', 'gemini/g']) {
    const reply = await chat(gateway, model, asked);
    assert.equal(sent()['x-trace'], 't-1', model);
    assert.ok(!JSON.stringify(sent()).includes('evil') && !sent().cookie && !sent()['x-bf-vk'] && !sent()['cf-ray'], model);
    assert.deepEqual(reply.headers.get('x-bf-dropped-headers').split(',').sort(), ['authorization', 'cf-ray', 'connection', 'content-type', 'cookie', 'host', 'x-api-key', 'x-bf-vk']);
  }
});

test('the owner\'s lists let headers pass and keep them back', async () => {
  await chat(listed, 'gpt-4o', { ...team, 'x-team-name': 'red', 'x-team-secret': 's', cookie: 'a=b', authorization: 'Bearer sk-caller', 'openai-organization': 'org-1', 'openai-project': 'p-1', 'x-bf-eh-x-team-secret': 's' });
  const { 'x-team-name': name, 'x-team-secret': secret, cookie, authorization, 'openai-organization': organization, 'openai-project': project } = sent();
  assert.deepEqual([name, secret, cookie, authorization, organization, project], ['red', undefined, undefined, 'Bearer sk-gateway-openai', undefined, 'p-1']);
});

test('a header that the owner requires is asked for by name', async () => {
  for (const [at, name] of [[() => chat(listed, 'gpt-4o', { 'x-team': 'red' }), 'x-cost-center'], [() => messages(listed, 'claude-x', { 'x-cost-center': '1' }), 'x-team'], [() => fetch(`${listed}/openai/v1/models`, { headers: { 'x-team': 'a' } }), 'x-cost-center']]) {
    const reply = await at();
    assert.deepEqual([reply.status, reply.headers.get('x-bf-error-type')], [400, 'missing_header']);
    assert.match((await reply.json()).error.message, new RegExp(`missing: ${name}$`));
  }
  assert.equal((await fetch(`${listed}/health`)).status, 200);
  assert.equal(replay.requests.length, 0);
});

test('betas go to whom they are for, and what is held back is named', async () => {
  const betas = { 'anthropic-beta': 'context-1m-2025-08-07,claude-code-20250219' };
  for (const [model, arrives, dropped] of [
    ['claude-x', 'context-1m-2025-08-07,claude-code-20250219', null],
    ['azure/claude-x', 'context-1m-2025-08-07', 'anthropic-beta=claude-code-20250219'],
    ['openai/gpt-4o', undefined, 'anthropic-beta'],
    ['gemini/g', undefined, 'anthropic-beta'],
  ]) {
    const reply = await messages(gateway, model, betas);
    assert.deepEqual([sent()['anthropic-beta'], reply.headers.get('x-bf-dropped-headers')], [arrives, dropped], model);
  }
  const vertex = await messages(gateway, 'vertex/claude-x', betas);
  assert.deepEqual([replay.last().json().anthropic_beta, vertex.headers.get('x-bf-dropped-headers')], [['context-1m-2025-08-07'], 'anthropic-beta=claude-code-20250219']);
  // From chat completions it is a foreign header, until somebody says otherwise.
  assert.equal((await chat(gateway, 'anthropic/claude-x', betas)).headers.get('x-bf-dropped-headers'), 'anthropic-beta');
  await chat(listed, 'anthropic/claude-x', { ...team, ...betas });
  assert.equal(sent()['anthropic-beta'], betas['anthropic-beta']);
  await chat(gateway, 'anthropic/claude-x', { 'x-bf-eh-anthropic-beta': 'context-1m-2025-08-07' });
  assert.equal(sent()['anthropic-beta'], 'context-1m-2025-08-07');
  const denying = await startBareGateway({ ...allAt(replay.url), HEADER_DENYLIST: 'anthropic-beta' });
  assert.equal((await messages(denying, 'claude-x', betas)).headers.get('x-bf-dropped-headers'), 'anthropic-beta');
  assert.equal(sent()['anthropic-beta'], undefined);
});

test('betas that a body needs are added, unless the platform has them not or the caller names a version', async () => {
  const computer = { tools: [{ type: 'computer_20250124', name: 'computer', display_width_px: 9, display_height_px: 9 }] };
  for (const [model, more, headers, arrives] of [
    ['claude-x', computer, {}, 'computer-use-2025-01-24'], ['claude-x', computer, { 'anthropic-beta': 'computer-use-2024-10-22' }, 'computer-use-2024-10-22'],
    ['claude-x', { context_management: { edits: [{ type: 'compact_20260112' }] } }, {}, 'compact-2026-01-12,context-management-2025-06-27'],
    ['claude-x', { thinking: { type: 'enabled', budget_tokens: 1024 }, max_tokens: 2000 }, {}, 'interleaved-thinking-2025-05-14'],
    ['claude-x', { speed: 'fast' }, {}, 'fast-mode-2026-02-01'], ['azure/claude-x', { speed: 'fast' }, {}, undefined], ['claude-x', {}, {}, undefined],
    ['claude-x', { messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'file', file_id: 'file_1' } }] }] }, {}, 'files-api-2025-04-14'],
  ]) {
    await messages(gateway, model, headers, more);
    assert.equal(sent()['anthropic-beta'], arrives, JSON.stringify(more));
  }
  await messages(gateway, 'vertex/claude-x', {}, { ...computer, speed: 'fast' });
  assert.deepEqual(replay.last().json().anthropic_beta, ['computer-use-2025-01-24']);
  // In a body that the gateway wrote, too.
  await chat(gateway, 'anthropic/claude-sonnet-4-5', {}, { reasoning_effort: 'high', max_tokens: 9000 });
  assert.match(sent()['anthropic-beta'], /interleaved-thinking/);
  await chat(gateway, 'vertex/claude-sonnet-4-5', {}, { reasoning_effort: 'high', max_tokens: 9000 });
  assert.deepEqual(replay.last().json().anthropic_beta, ['interleaved-thinking-2025-05-14']);
  await new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: 'dummy-key', maxRetries: 0 }).beta.messages.create({ model: 'claude-x', max_tokens: 9, messages: hello, betas: ['output-300k-2026-03-24'] });
  assert.equal(sent()['anthropic-beta'], 'output-300k-2026-03-24');
});
