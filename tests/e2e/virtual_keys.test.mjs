// Virtual keys: who may use what, how much of it, exactly; and their administration.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { startKv } from '../upstream/kv_server.mjs';
import { startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, hello, nameOf, post, root, shared, startBareGateway, startDev, startWithBindings } from './gateway.mjs';
import { samples } from './seed_samples.mjs';

const TOKEN = 'owners-own-token';
const admin = { authorization: `Bearer ${TOKEN}` };
let replay, gateway, strict;
const vars = () => ({ ...allAt(replay.url), ADMIN_TOKEN: TOKEN, OPENAI_KEYS: JSON.stringify([{ name: 'blue', value: 'sk-gateway-openai-blue' }, { name: 'red', value: 'sk-gateway-openai-red' }]) });
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = await startWithBindings(vars());
  strict = await startWithBindings({ ...vars(), REQUIRE_VIRTUAL_KEY: 'true', LOG_REQUESTS: 'false' });
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; replay.answer = answer; });

let count = 0;
/** Registers a virtual key as wrangler would, in the store alone. */
async function register(at, record, { key = `sk-bf-test-${++count}`, ...more } = {}) {
  await at.env.KEYS.put(nameOf(key), typeof record === 'string' ? record : JSON.stringify({ id: `vk-${count}`, name: `key ${count}`, provider_configs: [{ provider: '*', allowed_models: ['*'], keys: ['*'] }], ...record, ...more }));
  return key;
}

const usage = { prompt_tokens: 60, completion_tokens: 40, total_tokens: 100 };
const chat = { id: 'c', object: 'chat.completion', created: 1, model: 'gpt-4o', choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' }, finish_reason: 'stop' }], usage };
const message = { id: 'm', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5', content: [{ type: 'text', text: 'Hi' }], stop_reason: 'end_turn', stop_sequence: null, usage: { input_tokens: 60, output_tokens: 40 } };
const gemini = { candidates: [{ content: { role: 'model', parts: [{ text: 'Hi' }] }, finishReason: 'STOP', index: 0 }], usageMetadata: { promptTokenCount: 60, candidatesTokenCount: 40, totalTokenCount: 100 }, modelVersion: 'gemini-2.5-flash' };
const list = { object: 'list', data: [{ object: 'embedding', index: 0, embedding: [1, 2] }], model: 'text-embedding-3-small', usage: { prompt_tokens: 60, total_tokens: 60 } };
const answer = ({ url, method }) => ({ body: JSON.stringify(method === 'GET' ? { object: 'list', data: [{ id: 'gpt-4o' }, { id: 'o3' }], models: [] } : url.includes('/messages') ? message : url.includes('enerateContent') ? gemini : url.includes('/embeddings') ? list : chat) });
const asOf = (key, at = gateway) => ({ openai: new OpenAI({ baseURL: `${at.url}/openai/v1`, apiKey: key, maxRetries: 0 }), anthropic: new Anthropic({ baseURL: `${at.url}/anthropic`, apiKey: key, maxRetries: 0 }) });
const ask = { model: 'openai/gpt-4o', messages: hello, max_tokens: 40 };
const say = (key, body = ask, headers = {}, at = gateway, path = '/openai/v1/chat/completions') => post(at.url + path, body, { ...(key && { 'x-bf-vk': key }), ...headers });
const kindOf = (reply) => [reply.status, reply.headers.get('x-bf-error-type')];

test('without a virtual key nothing is governed, unless the owner requires one', async () => {
  assert.equal((await say(undefined)).status, 200);
  for (const path of ['/openai/v1/chat/completions', '/anthropic/v1/messages', '/openai/v1/responses', '/openai/v1/embeddings', '/openai_passthrough/v1/chat/completions', '/genai_passthrough/v1beta/models/gemini-2.5-flash:generateContent']) {
    const reply = await say(undefined, { model: 'gpt-4o' }, {}, strict, path);
    assert.deepEqual(kindOf(reply), [401, 'virtual_key_required'], path);
  }
  assert.deepEqual(kindOf(await fetch(`${strict.url}/openai/v1/models`)), [401, 'virtual_key_required']);
  assert.equal((await fetch(`${strict.url}/health`)).status, 200);
  assert.equal(replay.requests.length, 1, 'nothing else was sent on');
  const key = await register(strict, {});
  assert.equal((await say(key, ask, {}, strict)).status, 200);
});

test('SDKs of both dialects see why they may not, as errors of their own', async () => {
  const unknown = asOf('sk-bf-nobody-has-this');
  await assert.rejects(unknown.openai.chat.completions.create(ask), (error) => error instanceof OpenAI.PermissionDeniedError && error.code === 'virtual_key_not_found' && error.type === 'permission_error');
  await assert.rejects(unknown.anthropic.messages.create({ ...ask, model: 'claude-sonnet-4-5' }), (error) => error instanceof Anthropic.PermissionDeniedError && error.error.error.type === 'permission_error');
  await assert.rejects(asOf('none', strict).openai.chat.completions.create(ask), (error) => error instanceof OpenAI.AuthenticationError && error.code === 'virtual_key_required');
  const off = await register(gateway, { is_active: false });
  const past = await register(gateway, { expires_at: '2026-01-01T00:00:00Z' });
  for (const key of [off, past]) await assert.rejects(asOf(key).openai.chat.completions.create(ask), (error) => error.status === 403 && error.code === 'virtual_key_blocked');
  const narrow = asOf(await register(gateway, { provider_configs: [{ provider: 'openai', allowed_models: ['gpt-4o*'], keys: ['*'] }] }));
  await assert.rejects(narrow.openai.chat.completions.create({ ...ask, model: 'anthropic/claude-sonnet-4-5' }), (error) => error.status === 403 && error.code === 'provider_blocked');
  await assert.rejects(narrow.openai.chat.completions.create({ ...ask, model: 'openai/o3' }), (error) => error.status === 403 && error.code === 'model_blocked' && error.param === 'model');
  await assert.rejects(narrow.anthropic.messages.create({ ...ask, model: 'anthropic/claude-sonnet-4-5' }), (error) => error.status === 403 && /provider 'anthropic'/.test(error.message));
  assert.equal(replay.requests.length, 0);
  assert.equal((await narrow.openai.chat.completions.create({ ...ask, model: 'openai/gpt-4o-mini' })).choices.length, 1);
  assert.equal((await narrow.anthropic.messages.create({ ...ask, model: 'openai/gpt-4o' })).content[0].text, 'Hi');
});

test('each decision reaches the SDKs of both dialects, and of passthrough, as an error of theirs', async () => {
  const only = (provider, ...models) => ({ provider_configs: [{ provider, allowed_models: models, keys: ['*'] }] });
  const spentUp = async (limits) => { const key = await register(gateway, limits); assert.equal((await say(key)).status, 200); return key; };
  const required = asOf('none', strict);
  const decisions = [
    ['virtual_key_not_found', 403, 'sk-bf-nobody-at-all'],
    ['virtual_key_blocked', 403, await register(gateway, { is_active: false })],
    ['provider_blocked', 403, await register(gateway, only('gemini', '*'))],
    ['model_blocked', 403, await register(gateway, { provider_configs: [...only('openai', 'o3').provider_configs, ...only('anthropic', 'claude-opus-4-1').provider_configs] })],
    ['rate_limited', 429, await spentUp({ rate_limit: { request_max_limit: 1, request_reset_duration: '1h' } })],
    ['token_limited', 429, await spentUp({ rate_limit: { token_max_limit: 100, token_reset_duration: '1h' } })],
    ['budget_exceeded', 402, await spentUp({ budget: { max_limit: 0.00055, reset_duration: '1d' } })],
    ['virtual_key_required', 401, undefined],
  ];
  for (const [kind, status, key] of decisions) {
    const at = key ? gateway : strict, apiKey = key ?? 'none';
    const openai = key ? asOf(key).openai : required.openai, anthropic = key ? asOf(key).anthropic : required.anthropic;
    const native = { openai: new OpenAI({ baseURL: `${at.url}/openai_passthrough/v1`, apiKey, maxRetries: 0 }), anthropic: new Anthropic({ baseURL: `${at.url}/anthropic_passthrough`, apiKey, maxRetries: 0 }) };
    const chat = { ...ask, model: 'gpt-4o' }, message = { ...ask, model: 'claude-sonnet-4-5' };
    for (const call of [() => openai.chat.completions.create({ ...chat, model: 'openai/gpt-4o' }), () => openai.responses.create({ model: 'openai/gpt-4o', input: 'x' }), () => openai.embeddings.create({ model: 'openai/text-embedding-3-small', input: 'x' }), () => native.openai.chat.completions.create(chat)]) {
      await assert.rejects(call, (error) => { assert.deepEqual([error.status, error.code, error.headers.get('x-bf-error-type')], [status, kind, kind]); return error instanceof OpenAI.APIError; });
    }
    for (const call of [() => anthropic.messages.create({ ...message, model: 'anthropic/claude-sonnet-4-5' }), () => native.anthropic.messages.create(message)]) {
      await assert.rejects(call, (error) => { assert.deepEqual([error.status, error.error.type, error.headers.get('x-bf-error-type')], [status, 'error', kind]); return error instanceof Anthropic.APIError; });
    }
  }
});

test('what a key may use holds on every route', async () => {
  const key = await register(gateway, { provider_configs: [{ provider: 'openai', allowed_models: ['gpt-4o'], keys: ['red'] }, { provider: 'gemini', allowed_models: ['gemini-2.5-flash'], keys: ['*'] }] });
  for (const [path, body, expected] of [
    ['/openai/v1/responses', { model: 'o3', input: 'x' }, 'model_blocked'],
    ['/openai/v1/embeddings', { model: 'text-embedding-3-small', input: 'x' }, 'model_blocked'],
    ['/openai/v1/moderations', { model: 'omni-moderation-latest', input: 'x' }, 'model_blocked'],
    ['/openai/v1/moderations', { input: 'x' }, 'model_blocked'],
    ['/anthropic/v1/messages', { model: 'claude-sonnet-4-5', messages: hello, max_tokens: 9 }, 'provider_blocked'],
    ['/anthropic/v1/messages/count_tokens', { model: 'anthropic/claude-sonnet-4-5', messages: hello }, 'provider_blocked'],
    ['/openai_passthrough/v1/chat/completions', { model: 'o3', messages: hello }, 'model_blocked'],
    ['/openai_passthrough/v1/chat/completions', { messages: hello }, 'model_blocked'],
    ['/anthropic_passthrough/v1/messages', { model: 'claude-sonnet-4-5', messages: hello }, 'provider_blocked'],
    ['/genai_passthrough/v1beta/models/gemini-2.5-pro:generateContent', { contents: [] }, 'model_blocked'],
    ['/azure_passthrough/openai/deployments/gpt-4o/chat/completions', { messages: hello }, 'provider_blocked'],
  ]) assert.deepEqual(kindOf(await say(key, body, {}, gateway, path)), [403, expected], `${path} ${JSON.stringify(body)}`);
  const form = new FormData();
  form.append('file', new Blob(['x'.repeat(10)]), 'a.wav');
  form.append('model', 'whisper-1');
  for (const path of ['/openai/v1/audio/transcriptions', '/openai_passthrough/v1/audio/transcriptions']) {
    assert.deepEqual(kindOf(await fetch(gateway.url + path, { method: 'POST', body: form, headers: { 'x-bf-vk': key } })), [403, 'model_blocked'], path);
  }
  assert.equal(replay.requests.length, 0);
  for (const [path, body] of [
    ['/openai_passthrough/v1/chat/completions', { model: 'gpt-4o', messages: hello }],
    ['/genai_passthrough/v1beta/models/gemini-2.5-flash:generateContent', { contents: [] }],
    ['/openai/v1/chat/completions', { model: 'gpt-4o', messages: hello }],
  ]) assert.equal((await say(key, body, {}, gateway, path)).status, 200, path);
  assert.deepEqual(replay.requests.filter(({ url }) => url.startsWith('/v1/')).map(({ headers }) => headers.authorization), ['Bearer sk-gateway-openai-red', 'Bearer sk-gateway-openai-red'], 'of the pool, only the key that the virtual key may use');
  const form2 = new FormData();
  form2.append('model', 'gpt-4o');
  form2.append('file', new Blob(['x'.repeat(100_000)]), 'a.wav');
  const passed = await fetch(`${gateway.url}/openai_passthrough/v1/audio/transcriptions`, { method: 'POST', body: form2, headers: { 'x-bf-vk': key } });
  assert.equal(passed.status, 200);
  assert.ok(replay.requests.at(-1).body.length > 100_000, 'the form went through whole');
});

test('the list of models shows what the key may use, and nothing else can be looked at', async () => {
  const key = await register(gateway, { provider_configs: [{ provider: 'openai', allowed_models: ['gpt-*'], keys: ['*'] }] });
  const { openai } = asOf(key);
  const ids = [];
  for await (const model of openai.models.list()) ids.push(model.id);
  assert.deepEqual(ids, ['openai/gpt-4o']);
  assert.equal((await openai.models.retrieve('gpt-4o')).id, 'openai/gpt-4o');
  await assert.rejects(openai.models.retrieve('o3'), OpenAI.NotFoundError);
  const { data } = await (await fetch(`${gateway.url}/openai/v1/models`)).json();
  assert.ok(data.length > 2, 'without a key all are shown');
});

test('a model without a provider goes to one of the key that has it, by weight, and falls back to the others', async () => {
  const key = await register(gateway, { provider_configs: [{ provider: 'azure', allowed_models: ['gpt-4o'], weight: 1, keys: ['*'] }, { provider: 'openai', allowed_models: ['gpt-4o'], weight: 0, keys: ['*'] }, { provider: 'anthropic', allowed_models: ['claude*'], weight: 9, keys: ['*'] }] });
  const first = await say(key, { ...ask, model: 'gpt-4o' });
  assert.deepEqual([first.status, first.headers.get('x-bf-provider')], [200, 'azure']);
  replay.answer = (request) => (request.url.includes('/deployments/') || request.headers['api-key'] ? { status: 503, body: '{}' } : answer(request));
  const second = await say(key, { ...ask, model: 'gpt-4o' });
  assert.deepEqual([second.status, second.headers.get('x-bf-provider'), second.headers.get('x-bf-fallback-index')], [200, 'openai', '1']);
  const bare = await say(key, { ...ask, model: 'claude-sonnet-4-5' }, {}, gateway, '/v1/chat/completions');
  assert.deepEqual([bare.status, bare.headers.get('x-bf-provider')], [200, 'anthropic']);
  assert.deepEqual(kindOf(await say(key, { ...ask, model: 'gpt-4o', fallbacks: ['gemini/gemini-2.5-pro'] })), [403, 'provider_blocked']);
});

test('a record that cannot be read blocks its key and nothing else', async () => {
  const broken = await register(gateway, '{"id":"broken-1","provider_configs":{}}');
  const garbage = await register(gateway, 'no JSON');
  const orphan = await register(gateway, { team_id: 'no-such-team' });
  for (const key of [broken, garbage, orphan]) assert.deepEqual(kindOf(await say(key)), [403, 'virtual_key_blocked']);
  assert.equal((await say(await register(gateway, {}))).status, 200);
  const logs = gateway.harness.getLogs().map(({ message }) => message).join('\n');
  assert.match(logs, /'broken-1' is wrong at 'provider_configs'/);
  assert.match(logs, /the team 'no-such-team', which has no record/);
});

test('the record says whose request it was', async () => {
  await gateway.env.KEYS.put('team:t1', JSON.stringify({ id: 't1', name: 'Blue', customer_id: 'c1' }));
  await gateway.env.KEYS.put('customer:c1', JSON.stringify({ id: 'c1', name: 'Acme' }));
  const key = await register(gateway, { id: 'whose-1', team_id: 't1' });
  const reply = await say(key);
  for (let i = 0, record = {}; ; i++) {
    record = await (await fetch(`${gateway.url}/api/logs/${reply.headers.get('x-request-id')}`, { headers: admin })).json();
    if (record.id) { assert.deepEqual([record.virtual_key_id, record.team_id, record.customer_id], ['whose-1', 't1', 'c1']); break; }
    assert.ok(i < 100, 'no record');
    await sleep(100);
  }
});

/** How many of `n` requests at once get their answer, and how the others fail. */
async function burst(n, key, body = ask, at = gateway, path = undefined) {
  const replies = await Promise.all(Array.from({ length: n }, () => say(key, body, {}, at, path)));
  const kinds = {};
  for (const reply of replies) {
    await reply.text();
    const kind = reply.status === 200 ? 'ok' : `${reply.status} ${reply.headers.get('x-bf-error-type')}`;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/** What a key has spent, once everything is told. */
async function spent(key, at = gateway, enough = () => true) {
  for (let i = 0; ; i++) {
    const quota = await (await fetch(`${at.url}/api/governance/virtual-keys/quota`, { headers: { 'x-bf-vk': key } })).json();
    assert.ok(quota.usage, JSON.stringify(quota));
    const settled = Object.values(quota.usage).every(({ reserved }) => reserved === 0);
    if ((settled && enough(quota)) || i > 80) return quota;
    await sleep(100);
  }
}

const slowly = (request) => ({ ...answer(request), delay: 30 + Math.random() * 50 });
const perHour = (max) => ({ rate_limit: { request_max_limit: max, request_reset_duration: '1h' } });

test('200 requests at once against a limit of 50: exactly 50 are answered, five times of five', { timeout: 120_000 }, async () => {
  replay.answer = slowly;
  for (let run = 0; run < 5; run++) {
    const key = await register(gateway, perHour(50));
    replay.requests.length = 0;
    assert.deepEqual(await burst(200, key), { ok: 50, '429 rate_limited': 150 });
    assert.equal(replay.requests.length, 50, 'and no more than that was asked of the provider');
  }
});

test('200 requests at once against a budget of exactly 50: exactly 50 are answered, five times of five', { timeout: 240_000 }, async () => {
  replay.answer = slowly;
  // 60 tokens at 2.50 and 40 at 10.00 USD per million.
  const each = 0.00055;
  for (let run = 0; run < 5; run++) {
    const key = await register(gateway, { budget: { max_limit: Number((50 * each).toFixed(6)), reset_duration: '1M' } });
    assert.deepEqual(await burst(200, key), { ok: 50, '402 budget_exceeded': 150 });
    const { usage } = await spent(key);
    assert.deepEqual([usage.budget.current_usage, usage.budget.reserved, usage.budget.remaining], [0.0275, 0, 0]);
  }
});

test('the same with workerd killed in the middle and started again: never more than 50, and what the dead had reserved is free after its time', { timeout: 120_000 }, async () => {
  const kv = await startKv(), disk = mkdtempSync(path.join(os.tmpdir(), 'objects-'));
  after(() => { kv.stop(); rmSync(disk, { recursive: true, force: true }); });
  const key = 'sk-bf-of-the-dead';
  kv.values.set(nameOf(key), JSON.stringify({ id: 'dead', name: 'dead', provider_configs: [{ provider: '*', allowed_models: ['*'], keys: ['*'] }], ...perHour(50) }));
  const settings = { ...allAt(replay.url), RESERVATION_TTL_MS: '3000' };
  let child;
  const start = async () => ({ url: await startBareGateway(settings, undefined, (found) => { child = found; }, undefined, {}, { kv: { KEYS: kv.address }, disk }) });
  const count = (n, at) => Promise.all(Array.from({ length: n }, async () => (await say(key, ask, {}, at).catch(() => ({}))).status));
  const ok = (statuses) => statuses.filter((status) => status === 200).length;

  // Twenty are answered; of thirty more the provider says nothing, and in the middle of that everything dies.
  const first = await start();
  assert.equal(ok(await count(20, first)), 20);
  replay.answer = (request) => ({ ...answer(request), delay: 20_000 });
  const asked = replay.requests.length;
  const dying = count(60, first);
  while (replay.requests.length < asked + 30) await sleep(20);
  await sleep(200);
  assert.equal(replay.requests.length, asked + 30, 'thirty were left');
  child.kill('SIGKILL');
  assert.equal(ok(await dying), 0);

  replay.answer = answer;
  const second = await start();
  const early = await count(40, second);
  assert.deepEqual([ok(early), early.filter((status) => status === 429).length], [0, 40], 'what the dead had reserved is not given away');
  await sleep(3500);
  assert.equal(ok(await count(200, second)), 30, 'and is free again after its time');
  assert.equal((await spent(key, second)).usage.requests.current_usage, 50);
});

test('far from a limit, an isolate spends a lease without asking, and everything is counted', { timeout: 60_000 }, async () => {
  const key = await register(gateway, { budget: { max_limit: 100, reset_duration: '1M' }, rate_limit: { request_max_limit: 100_000, request_reset_duration: '1d', token_max_limit: 100_000_000, token_reset_duration: '1d' } });
  for (let i = 0; i < 10; i++) assert.deepEqual(await burst(30, key), { ok: 30 });
  // One is still under way when its lease is reported, and is settled later.
  replay.answer = (request) => ({ ...answer(request), delay: 2500 });
  assert.deepEqual(await burst(3, key), { ok: 3 });
  const { usage } = await spent(key, gateway, ({ usage }) => usage.requests.current_usage >= 303);
  assert.deepEqual([usage.requests.current_usage, usage.tokens.current_usage, usage.budget.current_usage], [303, 30_300, 0.16665]);
});

test('limits tell when they begin anew, in headers of the SDKs and in words', async () => {
  const { openai, anthropic } = asOf(await register(gateway, perHour(1)));
  await openai.chat.completions.create(ask);
  await assert.rejects(openai.chat.completions.create(ask), (error) => {
    const header = (name) => error.headers.get(name);
    assert.deepEqual([error.status, error.code, error.type, header('x-ratelimit-limit-requests'), header('x-ratelimit-remaining-requests')], [429, 'rate_limited', 'rate_limit_error', '1', '0']);
    assert.ok(Number(header('retry-after')) > 3500 && header('x-ratelimit-reset-requests') === `${header('retry-after')}s`);
    return /limit of 1 requests in 1h; it begins anew in \d+ s/.test(error.message);
  });
  await assert.rejects(anthropic.messages.create({ ...ask, model: 'anthropic/claude-sonnet-4-5' }), (error) => error instanceof Anthropic.RateLimitError && error.error.error.type === 'rate_limit_error');
  const tokens = await register(gateway, { rate_limit: { token_max_limit: 250, token_reset_duration: '1h' } });
  for (const status of [200, 200, 200]) assert.equal((await say(tokens)).status, status);
  const over = await say(tokens);
  assert.deepEqual([...kindOf(over), over.headers.get('x-ratelimit-limit-tokens'), over.headers.get('x-ratelimit-remaining-tokens')], [429, 'token_limited', '250', '0']);
  const both = await register(gateway, { rate_limit: { request_max_limit: 1, request_reset_duration: '1h', token_max_limit: 1000, token_reset_duration: '1d' } });
  assert.equal((await say(both)).status, 200);
  const stands = await say(both);
  assert.deepEqual(['limit-requests', 'remaining-requests', 'limit-tokens', 'remaining-tokens'].map((name) => stands.headers.get(`x-ratelimit-${name}`)), ['1', '0', '1000', '900'], 'both are told');
  const short = await register(gateway, { rate_limit: { request_max_limit: 1, request_reset_duration: '2s' } });
  assert.equal((await say(short)).status, 200);
  assert.equal((await say(short)).status, 429);
  await sleep(2100);
  assert.equal((await say(short)).status, 200, 'the next period has begun');
});

test('a budget that is used up is told in both dialects, on passthrough, and as not worth another try', async () => {
  const key = await register(gateway, { budget: { max_limit: 0.0005, reset_duration: '1M' } });
  const { openai, anthropic } = asOf(key);
  await openai.chat.completions.create(ask);
  await assert.rejects(openai.chat.completions.create(ask), (error) => error.status === 402 && error.code === 'budget_exceeded' && error.headers.get('x-should-retry') === 'false');
  await assert.rejects(anthropic.messages.create({ ...ask, model: 'anthropic/claude-sonnet-4-5' }), (error) => error.status === 402 && error.error.error.type === 'billing_error' && /limit of 0.0005 USD in 1M/.test(error.message));
  for (const path of ['/openai_passthrough/v1/chat/completions', '/openai/v1/embeddings', '/openai/v1/responses']) {
    assert.deepEqual(kindOf(await say(key, { model: path.includes('embed') ? 'text-embedding-3-small' : 'gpt-4o', messages: hello, input: 'x' }, {}, gateway, path)), [402, 'budget_exceeded'], path);
  }
  assert.equal(replay.requests.length, 1);
  assert.equal((await say(key, { ...ask, model: 'ollama/llama3' })).status, 200, 'what costs nothing is not kept from them');
});

test('passthrough is settled by what its answer says, streamed or not', async () => {
  const key = await register(gateway, { budget: { max_limit: 10, reset_duration: '1M' }, rate_limit: { token_max_limit: 1_000_000, token_reset_duration: '1d' } });
  await (await say(key, { model: 'gpt-4o', messages: hello, max_tokens: 40 }, {}, gateway, '/openai_passthrough/v1/chat/completions')).text();
  replay.answer = () => ({ body: streams.chat(['Hi', ' the', 're', '!']) });
  await (await say(key, { model: 'gpt-4o', messages: hello, max_tokens: 40, stream: true }, {}, gateway, '/openai_passthrough/v1/chat/completions')).text();
  replay.answer = () => ({ body: streams.anthropic(['Hi', ' the', 're', '!']) });
  await (await say(key, { model: 'claude-sonnet-4-5', messages: hello, max_tokens: 40, stream: true }, {}, gateway, '/anthropic/v1/messages')).text();
  await (await say(key, { ...ask, model: 'anthropic/claude-sonnet-4-5', stream: true })).text();
  const { usage } = await spent(key, gateway, ({ usage }) => usage.tokens.current_usage >= 139);
  assert.equal(usage.tokens.current_usage, 100 + 13 + 13 + 13);
  // 0.00055; 9 × 2.50 + 4 × 10.00; twice 9 × 3.00 + 4 × 15.00 per million.
  assert.equal(usage.budget.current_usage, 0.0007865);
});

test('a chat stream is settled exactly though its caller does not ask for the tokens, and does not see them', async () => {
  const key = await register(gateway, { budget: { max_limit: 10, reset_duration: '1M' } });
  replay.answer = (request) => ({ body: request.json().stream_options?.include_usage ? streams.chat(['Hi', ' the', 're', '!']) : 'data: {"error":{"message":"no usage was asked for"}}\n\n' });
  const { openai } = asOf(key);
  for (const stream_options of [undefined, { include_usage: false, include_obfuscation: false }]) {
    const chunks = [];
    for await (const chunk of await openai.chat.completions.create({ ...ask, model: 'gpt-4o', stream: true, ...(stream_options && { stream_options }) })) chunks.push(chunk);
    assert.equal(chunks.map(({ choices }) => choices[0].delta.content ?? '').join(''), 'Hi there!');
    assert.ok(chunks.every(({ usage }) => !usage));
  }
  assert.equal(replay.requests.at(-1).json().stream_options.include_obfuscation, false);
  const asked = await openai.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
  let last;
  for await (const chunk of asked) last = chunk;
  assert.equal(last.usage.total_tokens, 13, 'who asks for them gets them');
  // Three times 9 × 2.50 + 4 × 10.00 per million.
  assert.equal((await spent(key, gateway, ({ usage }) => usage.budget.current_usage >= 0.0001875)).usage.budget.current_usage, 0.0001875);
});

test('retries and fallbacks count once, and what was never sent not at all', async () => {
  const key = await register(gateway, perHour(10));
  replay.answer = (request) => (request.url.includes('/messages') ? answer(request) : { status: 503, body: '{}' });
  const reply = await say(key, { ...ask, fallbacks: ['anthropic/claude-sonnet-4-5'] });
  assert.deepEqual([reply.status, reply.headers.get('x-bf-attempts')], [200, '4']);
  assert.equal((await say(key, { ...ask, model: undefined })).status, 400);
  assert.equal((await say(key, { ...ask, messages: 'none' , model: 'anthropic/claude-sonnet-4-5' })).status, 400);
  assert.equal((await spent(key)).usage.requests.current_usage, 1);
});

test('a team and a customer have limits above those of their keys', async () => {
  await gateway.env.KEYS.put('customer:c2', JSON.stringify({ id: 'c2', name: 'Acme', ...perHour(5) }));
  await gateway.env.KEYS.put('team:t2', JSON.stringify({ id: 't2', name: 'Green', customer_id: 'c2', ...perHour(3) }));
  const [a, b] = [await register(gateway, { team_id: 't2', ...perHour(100) }), await register(gateway, { team_id: 't2' })];
  const c = await register(gateway, { customer_id: 'c2', ...perHour(100) });
  for (const key of [a, b, a]) assert.equal((await say(key)).status, 200);
  const team = await say(b);
  assert.deepEqual(kindOf(team), [429, 'rate_limited']);
  assert.match(await team.text(), /team 'Green' has used up its limit of 3 requests in 1h/);
  for (const status of [200, 200, 429]) assert.equal((await say(c)).status, status);
  const quota = await spent(a);
  assert.deepEqual([quota.usage.requests.current_usage, quota.team.usage.requests.current_usage, quota.customer.usage.requests.current_usage], [2, 3, 5], 'a refusal takes nothing at the others');
});

test('what has no price counts at the dearest, and what is worked on later is not let through under a budget', async () => {
  const key = await register(gateway, { budget: { max_limit: 100, reset_duration: '1M' } });
  replay.answer = () => ({ body: JSON.stringify({ ...chat, model: 'gpt-of-tomorrow' }) });
  const reply = await say(key, { ...ask, model: 'openai/gpt-of-tomorrow' });
  assert.deepEqual([reply.status, reply.headers.get('x-bf-cost-usd')], [200, null]);
  const assumed = (await spent(key)).usage.budget.current_usage;
  assert.ok(assumed > 0.00055 * 10 && assumed < 0.1, `${assumed} USD for 60 tokens read and 40 written`);
  assert.deepEqual(kindOf(await say(key, { input_file_id: 'file-1', endpoint: '/v1/chat/completions', completion_window: '24h' }, {}, gateway, '/openai/v1/batches')), [403, 'model_blocked']);
  // What does not say what it took, took what was reserved.
  replay.answer = () => ({ body: JSON.stringify({ ...chat, usage: undefined }) });
  await (await say(key)).text();
  assert.ok((await spent(key)).usage.budget.current_usage > assumed + 0.0004);
});

test('there is no way round a limit or a list of models', async () => {
  const limited = await register(gateway, { budget: { max_limit: 1000, reset_duration: '1M' } });
  const cost = async () => (await spent(limited)).usage.budget.current_usage;
  // A slash at the end is served like none, and costs the same.
  await (await say(limited, ask, {}, gateway, '/openai/v1/chat/completions/')).text();
  assert.equal(await cost(), 0.00055);
  for (const [path, body] of [
    ['/openai/v1/responses', { model: 'gpt-5', input: 'x', background: true }],
    ['/openai_passthrough/v1/responses', { model: 'gpt-5', input: 'x', background: true }],
    ['/openai/v1/images/generations', { prompt: 'x', n: 10 }],
    ['/openai_passthrough/v1/responses', { prompt: { id: 'p' } }],
    ['/openai/v1/audio/speech', { model: 'tts-of-tomorrow', input: 'x', voice: 'alloy' }],
    ['/openai/v1/fine_tuning/jobs', { model: 'gpt-4o', training_file: 'f' }],
    ['/anthropic/v1/messages/batches', { requests: [] }],
    ['/openai_passthrough/v1/Batches', { input_file_id: 'f' }],
    ['/openai_passthrough/v1/realtime/client_secrets', {}],
    ['/genai_passthrough/v1/projects/p/locations/l/tuningJobs', {}],
  ]) assert.deepEqual(kindOf(await say(limited, body, {}, gateway, path)), [403, 'model_blocked'], path);
  assert.equal(replay.requests.length, 1);
  replay.answer = () => ({ body: JSON.stringify({ created: 1, data: [] }) });
  const before = await cost();
  await (await say(limited, { model: 'gpt-image-1', prompt: 'x', n: 1 }, {}, gateway, '/openai/v1/images/generations')).text();
  assert.ok(await cost() > before, 'a model with half a price is not free');
  replay.answer = () => ({ body: streams.chat(['Hi']).filter((chunk) => !chunk.includes('"usage"')) });
  const guessed = await cost();
  await (await say(limited, { ...ask, model: 'gpt-4o', stream: true, max_tokens: 1000 }, {}, gateway, '/openai_passthrough/v1/chat/completions')).text();
  for (let i = 0; await cost() === guessed; i++) { assert.ok(i < 50, 'nothing was settled'); await sleep(100); }
  assert.ok(await cost() - guessed >= 1000 * 0.00001, 'a whole stream that does not tell its tokens took what was reserved');
  replay.answer = answer;

  const narrow = await register(gateway, { provider_configs: [{ provider: '*', allowed_models: ['gpt-4o', 'whisper-1', 'gemini-2.5-flash', 'llama3'], keys: ['*'] }] });
  replay.requests.length = 0;
  for (const [path, body, expected] of [
    ['/openai/v1/chat/completions', { ...ask, model: 'ollama/llama3', Model: 'qwen3:235b' }, 400],
    ['/openai/v1/chat/completions', JSON.stringify({ ...ask }).replace('{', '{"model":"openai/o3",'), 400],
    ['/openai_passthrough/v1/chat/completions', { model: 'gpt-4o', MODEL: 'o3', messages: hello }, 400],
    ['/azure_passthrough/openai/Deployments/o3/chat/completions', { model: 'gpt-4o', messages: hello }, 400],
    ['/azure_passthrough/openai/d%65ployments/o3/chat/completions', { model: 'gpt-4o', messages: hello }, 400],
    ['/genai_passthrough/v1beta/m%6Fdels/gemini-2.5-pro:generateContent', { model: 'gemini-2.5-flash', contents: [] }, 400],
    ['/genai_passthrough/v1/projects/p/locations/l/endpoints/123:rawPredict', { model: 'gemini-2.5-flash' }, 403],
  ]) assert.equal((await say(narrow, body, {}, gateway, path)).status, expected, path);
  for (const [method, path] of [['DELETE', '/openai/v1/files/file-1'], ['DELETE', '/openai/v1/models/ft:gpt-4o:x'], ['DELETE', '/openai_passthrough/v1/files/file-1'], ['PATCH', '/openai_passthrough/v1/x']]) {
    assert.deepEqual(kindOf(await fetch(gateway.url + path, { method, headers: { 'x-bf-vk': narrow } })), [403, 'model_blocked'], path);
  }
  const part = (name, value) => `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  for (const form of [`${part('prompt', `x${part('model', 'whisper-1').trimEnd()}`)}${part('model', 'gpt-4o-transcribe')}--B--\r\n`, `${part('model', 'whisper-1')}${part('model', 'gpt-4o-transcribe')}--B--\r\n`]) {
    for (const path of ['/openai/v1/audio/transcriptions', '/openai_passthrough/v1/audio/transcriptions']) {
      const reply = await fetch(gateway.url + path, { method: 'POST', headers: { 'x-bf-vk': narrow, 'content-type': 'multipart/form-data; boundary=B' }, body: form });
      assert.ok([400, 403].includes(reply.status), `${path} ${reply.status}`);
    }
  }
  assert.equal(replay.requests.length, 0);
  const cached = await say(narrow, { model: 'models/gemini-2.5-flash', contents: [] }, {}, gateway, '/genai_passthrough/v1beta/cachedContents');
  assert.equal(cached.status, 200);
});

test('a stream that its caller leaves is settled for what was delivered', { timeout: 60_000 }, async () => {
  const kv = await startKv();
  after(() => kv.stop());
  const key = 'sk-bf-who-leaves';
  kv.values.set(nameOf(key), JSON.stringify({ id: 'leaves', name: 'leaves', provider_configs: [{ provider: '*', allowed_models: ['*'], keys: ['*'] }], budget: { max_limit: 1, reset_duration: '1M' }, rate_limit: { token_max_limit: 1_000_000, token_reset_duration: '1d' } }));
  const at = { url: await startBareGateway({ ...allAt(replay.url), MAX_RETRIES: '0' }, undefined, undefined, undefined, {}, { kv: { KEYS: kv.address } }) };
  let before = 0;
  for (const model of ['openai/gpt-4o', 'anthropic/claude-sonnet-4-5']) {
    replay.answer = ({ url }) => ({ body: (url.includes('/messages') ? streams.anthropic : streams.chat)(Array(40).fill('word '), { done: false }), gap: 25, stall: 3000 });
    const abort = new AbortController();
    const reply = await fetch(`${at.url}/openai/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json', 'x-bf-vk': key }, body: JSON.stringify({ ...ask, model, max_tokens: 5000, stream: true }), signal: abort.signal });
    let text = '';
    for await (const piece of reply.body.pipeThrough(new TextDecoderStream())) if ((text += piece).split('word ').length > 12) break;
    abort.abort();
    const { usage } = await spent(key, at, ({ usage }) => usage.tokens.current_usage > before);
    const took = usage.tokens.current_usage - before;
    assert.ok(took >= 12 && took < 100, `${model}: ${took} tokens, of 5,000 reserved`);
    assert.equal(usage.tokens.reserved, 0);
    before = usage.tokens.current_usage;
  }
});

test('a revoked key stops within a minute', { timeout: 90_000 }, async () => {
  const key = await register(gateway, {});
  assert.equal((await say(key)).status, 200);
  const since = Date.now();
  await gateway.env.KEYS.delete(nameOf(key));
  while ((await say(key)).status === 200) { assert.ok(Date.now() - since < 60_000, 'a minute has passed'); await sleep(500); }
  assert.deepEqual(kindOf(await say(key)), [403, 'virtual_key_not_found']);
});

/** Asks the owner's API. */
async function manage(method, path, body, headers = admin) {
  const reply = await fetch(`${gateway.url}/api/governance/${path}`, { method, headers: { ...headers, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body) });
  return { status: reply.status, ...(await reply.json()) };
}

test('the owner makes, shows, changes, renews and deletes keys, and only hashes are stored', async () => {
  const wrong = await manage('GET', 'virtual-keys', undefined, { authorization: 'Bearer nobody' });
  assert.deepEqual([wrong.status, wrong.error.code], [401, 'wrong_admin_token']);
  const made = await manage('POST', 'virtual-keys', { name: 'Zoe', provider_configs: [{ provider: 'openai', allowed_models: ['*'], keys: ['*'] }], budget: { max_limit: 10, reset_duration: '1M', calendar_aligned: true }, rate_limit: { request_max_limit: 2, request_reset_duration: '1h' } });
  assert.equal(made.status, 201);
  assert.match(made.key, /^sk-bf-[\w-]{43}$/);
  const { id } = made.virtual_key;
  const stored = await gateway.env.KEYS.list({ prefix: 'vk:' });
  const values = await Promise.all(stored.keys.map(({ name }) => gateway.env.KEYS.get(name)));
  assert.ok(stored.keys.some(({ name }) => name === nameOf(made.key)) && !values.some((value) => value.includes(made.key)));

  const { openai } = asOf(made.key);
  await openai.chat.completions.create(ask);
  await openai.chat.completions.create({ ...ask, model: 'gpt-4o' });
  await assert.rejects(openai.chat.completions.create(ask), (error) => error.status === 429);
  const shown = await manage('GET', `virtual-keys/${id}`);
  assert.deepEqual([shown.virtual_key.name, shown.virtual_key.usage.requests.current_usage, shown.virtual_key.usage.budget.current_usage, shown.virtual_key.usage.budget.max_limit], ['Zoe', 2, 0.0011, 10]);
  assert.match(shown.virtual_key.usage.budget.resets_at, /^\d{4}-\d\d-01T00:00:00Z$/);

  assert.equal((await manage('PATCH', `virtual-keys/${id}`, { rate_limit: { request_max_limit: 4, request_reset_duration: '1h' }, budget: null })).virtual_key.budget, undefined);
  await openai.chat.completions.create(ask);
  const renewed = await manage('POST', `virtual-keys/${id}/rotate`);
  assert.notEqual(renewed.key, made.key);
  await assert.rejects(openai.chat.completions.create(ask), (error) => error.code === 'virtual_key_not_found');
  const again = asOf(renewed.key).openai;
  await again.chat.completions.create(ask);
  await assert.rejects(again.chat.completions.create(ask), (error) => error.status === 429, 'what was spent stays spent');
  await manage('PATCH', `virtual-keys/${id}`, { is_active: false });
  await assert.rejects(again.chat.completions.create(ask), (error) => error.code === 'virtual_key_blocked');

  const page = await manage('GET', 'virtual-keys?limit=1');
  assert.ok(page.total >= 1 && page.virtual_keys.length === 1);
  assert.deepEqual((await manage('DELETE', `virtual-keys/${id}`)).deleted, true);
  assert.equal((await manage('GET', `virtual-keys/${id}`)).status, 404);
  await assert.rejects(again.chat.completions.create(ask), (error) => error.code === 'virtual_key_not_found');
});

test('teams and customers are made before their keys and deleted after them, and what is wrong is named', async () => {
  const allows = [{ provider: '*', allowed_models: ['*'], keys: ['*'] }];
  assert.equal((await manage('POST', 'customers', { id: 'acme', name: 'Acme', budget: { max_limit: 1, reset_duration: '1d' } })).status, 201);
  assert.equal((await manage('POST', 'teams', { id: 'ops', name: 'Ops', customer_id: 'acme' })).team.customer_id, 'acme');
  const { key, virtual_key } = await manage('POST', 'virtual-keys', { name: 'a', team_id: 'ops', provider_configs: allows });
  assert.equal((await say(key)).status, 200);
  assert.equal((await manage('GET', 'customers/acme')).customer.usage.budget.current_usage, 0.00055);
  assert.deepEqual((await manage('GET', 'virtual-keys?team_id=ops')).virtual_keys.map(({ id }) => id), [virtual_key.id]);
  assert.match((await manage('DELETE', 'teams/ops')).error.message, /still belongs to it/);
  assert.match((await manage('DELETE', 'customers/acme')).error.message, /still belongs to it/);
  for (const [path, body, param] of [
    ['virtual-keys', {}, 'name'],
    ['virtual-keys', { name: 'x', id: virtual_key.id }, 'id'],
    ['virtual-keys', { name: 'x', team_id: 'none' }, 'team_id'],
    ['virtual-keys', { name: 'x', provider_configs: [{ provider: 'mistral' }] }, 'provider_configs[0].provider'],
    ['virtual-keys', { name: 'x', budget: { max_limit: '10', reset_duration: '1M' } }, 'budget.max_limit'],
    ['virtual-keys', { name: 'x', budget: { max_limit: 10, reset_duration: 'monthly' } }, 'budget.reset_duration'],
    ['virtual-keys', { name: 'x', budget: { max_limit: 10, reset_duration: '1h', calendar_aligned: true } }, 'budget.reset_duration'],
    ['teams', { name: 'x', customer_id: 'none' }, 'customer_id'],
    ['teams', { id: 'ops', name: 'x' }, 'id'],
  ]) {
    const reply = await manage('POST', path, body);
    assert.deepEqual([reply.status, reply.error?.param], [400, param], JSON.stringify(body));
  }
  assert.equal((await manage('PATCH', `virtual-keys/${virtual_key.id}`, { id: 'other' })).error.param, 'id');
  for (const path of [`virtual-keys/${virtual_key.id}`, 'teams/ops', 'customers/acme']) assert.equal((await manage('DELETE', path)).deleted, true);
  assert.deepEqual(kindOf(await fetch(`${gateway.url}/api/governance/virtual-keys/quota`)), [401, 'virtual_key_required']);
});

test('keys are made with wrangler alone, and the samples of the seeds run with the one that they name', { skip: !existsSync(path.join(shared, 'seeds')) && 'no ../shared/seeds', timeout: 120_000 }, async () => {
  const state = mkdtempSync(path.join(root, '.tools/state-'));
  const vk = (...args) => execFileSync(process.execPath, [path.join(root, 'scripts/vk.mjs'), ...args, '--persist-to', state], { encoding: 'utf8' });
  const said = vk('create', '--name', 'samples', '--key', 'vk_12345', '--budget', '10/1M', '--rpm', '60', '--models', 'openai/gpt-4o*,anthropic/*');
  assert.match(said, new RegExp(`^wrangler kv key put ${nameOf('vk_12345')} '\\{"id":.*\\}' --binding KEYS --local`));
  const made = vk('create', '--name', 'alice', '--models', 'openai/*', '--budget', '10/1M').match(/sk-bf-[\w-]{43}/)[0];
  assert.match(vk('list'), /samples {2}10 USD\/1M {2}60 requests\/1m/);

  const dev = await startDev(state, { ...allAt(replay.url), REQUIRE_VIRTUAL_KEY: 'true' });
  const { url } = dev;
  try {
    const wanted = samples(path.join(shared, 'seeds'), url, ['000', '001', '002']).filter(({ code }) => code.includes('vk_12345'));
    assert.equal(wanted.length, 5);
    for (const { language, code, seed, index } of wanted) {
      const sample = path.join(state, `${seed}-${index}.${language === 'python' ? 'py' : 'mjs'}`);
      writeFileSync(sample, code);
      const asked = replay.requests.length;
      await promisify(execFile)(language === 'python' ? path.join(root, '.tools/venv/bin/python') : process.execPath, [sample], { timeout: 60_000 });
      assert.equal(replay.requests.length, asked + 1, `${seed} ${index}`);
    }
    assert.equal((await say(made, ask, {}, { url })).status, 200);
    assert.deepEqual(kindOf(await say(made, { ...ask, model: 'anthropic/claude-sonnet-4-5' }, {}, { url })), [403, 'provider_blocked']);
    assert.deepEqual(kindOf(await say('sk-bf-other', ask, {}, { url })), [403, 'virtual_key_not_found']);
  } finally {
    dev.stop();
    rmSync(state, { recursive: true, force: true });
  }
});
