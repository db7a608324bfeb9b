// Which key a request goes with: pools, pins, sessions, keys set aside; and the caller's own.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { promisify } from 'node:util';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { AzureOpenAI } from 'openai';
import { startDemoProvider } from '../upstream/demo_provider.mjs';
import { startReplay } from '../upstream/replay_server.mjs';
import { allAt, hello, post, root, shared, startBareGateway, watcher } from './gateway.mjs';
import { samples } from './seed_samples.mjs';

const run = promisify(execFile);
const chatAnswer = JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } });
const error = (message) => JSON.stringify({ error: { message, type: 'x', code: 'y' } });
const pool = (...keys) => JSON.stringify(keys);
const key = (name, more) => ({ name, value: `sk-pool-${name}-secret`, ...more });

let replay;
before(async () => { replay = await startReplay(() => ({ body: chatAnswer })); });
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; replay.answer = () => ({ body: chatAnswer }); });

const keysUsed = () => replay.requests.map(({ headers }) => /sk-pool-(\w+)-secret/.exec(headers.authorization ?? headers['x-api-key'] ?? headers['api-key'] ?? headers['x-goog-api-key'])?.[1]);
const start = (vars) => startBareGateway({ ...allAt(replay.url), ADMIN_TOKEN: 'admin-token-1', ...vars }, undefined, undefined, undefined, {}, { keys: ['sk-bf-virtual'] });
const chat = (gateway, model, headers, more) => post(`${gateway}/openai/v1/chat/completions`, { model, messages: hello, ...more }, headers);

test('a secret that comes out in two pieces is seen', () => {
  const seen = { bytes: 0, leaks: [] };
  ['harmless sk-pool', '-a-sec', 'ret'].forEach(watcher(['sk-pool-a-secret'], seen));
  assert.deepEqual(seen, { bytes: 25, leaks: ['sk-pool-a-secret'] });
});

test('a key is chosen by weight among those that serve the model, pinned by name and kept by session', async () => {
  const gateway = await start({ OPENAI_KEYS: pool(key('a', { weight: 1 }), key('b', { weight: 3 }), key('mini', { models: ['*-mini'], blacklisted_models: ['o1-mini'] }), key('off', { enabled: false })) });
  for (let i = 0; i < 60; i++) assert.equal((await chat(gateway, 'gpt-4o')).status, 200);
  const share = keysUsed().filter((name) => name === 'b').length;
  assert.deepEqual([...new Set(keysUsed())].sort(), ['a', 'b']);
  assert.ok(share > 30 && share < 58, `${share} of 60, 45 expected`);
  replay.requests.length = 0;
  await chat(gateway, 'o1-mini', { 'x-bf-api-key': 'a' });
  for (let i = 0; i < 5; i++) await chat(gateway, 'gpt-4o', { 'x-bf-session-id': 'session-1' });
  assert.equal(keysUsed()[0], 'a');
  assert.equal(new Set(keysUsed().slice(1)).size, 1);
  for (const [model, headers, status, pattern] of [
    ['gpt-4o', { 'x-bf-api-key': 'none' }, 400, /OPENAI_KEYS/], ['gpt-4o', { 'x-bf-api-key': 'mini' }, 400, /'gpt-4o'/], ['gpt-4o', { 'x-bf-api-key': 'off' }, 400, /OPENAI_KEYS/],
  ]) {
    const reply = await chat(gateway, model, headers);
    assert.deepEqual([reply.status, reply.headers.get('x-bf-error-type')], [status, 'no_key']);
    assert.match((await reply.json()).error.message, pattern);
  }
});

test('every provider has a pool, each key with its own place', async () => {
  const endpoint = replay.url;
  const gateway = await start({
    AZURE_KEYS: pool(key('az', { endpoint, deployments: { 'gpt-4o': 'mine' }, api_version: '2025-01-01' })), VERTEX_KEYS: pool(key('vx', { project_id: 'p-2', region: 'europe-west4' })),
    OLLAMA_KEYS: pool(key('ol', { url: endpoint })), ANTHROPIC_KEYS: pool(key('an')), GEMINI_KEYS: pool(key('ge')),
  });
  for (const [model, url] of [
    ['azure/gpt-4o', '/openai/deployments/mine/chat/completions?api-version=2025-01-01'], ['vertex/gemini-2.5-pro', '/v1/projects/p-2/locations/europe-west4/publishers/google/models/gemini-2.5-pro:generateContent'],
    ['ollama/llama3', '/v1/chat/completions'], ['anthropic/claude-sonnet-4-5', '/v1/messages'], ['gemini/gemini-2.5-flash', '/v1beta/models/gemini-2.5-flash:generateContent'],
  ]) {
    await chat(gateway, model);
    assert.equal(replay.last().url, url);
  }
  assert.deepEqual(keysUsed(), ['az', 'vx', 'ol', 'an', 'ge']);
});

test('after a 429 another key is taken at once, whatever the wait, and the last error is told with it', async () => {
  const gateway = await start({ OPENAI_KEYS: pool(key('a'), key('b')), MAX_RETRIES: '1' });
  replay.answer = ({ headers }) => (replay.requests.length === 1 ? { status: 429, headers: { 'retry-after': '120' }, body: error('slow') } : { body: chatAnswer, headers: { 'x-key': headers.authorization.slice(15, 16) } });
  const reply = await chat(gateway, 'gpt-4o');
  assert.deepEqual([reply.status, reply.headers.get('x-bf-attempts')], [200, '2']);
  assert.equal(new Set(keysUsed()).size, 2);
  replay.answer = () => ({ status: 429, headers: { 'retry-after': '120' }, body: error('slow') });
  const limited = await chat(gateway, 'gpt-4o');
  assert.deepEqual([limited.status, limited.headers.get('retry-after'), limited.headers.get('x-bf-attempts')], [429, '120', '2']);
});

test('a key that is refused is set aside, another serves, and the owner can see it', async () => {
  const gateway = await start({ OPENAI_KEYS: pool(key('a'), key('b')), MAX_RETRIES: '0' });
  replay.answer = ({ headers }) => (headers.authorization.includes('-a-') ? { status: 401, body: error('Incorrect API key provided: sk-pool-a-secret') } : { body: chatAnswer });
  for (let i = 0; i < 12; i++) assert.equal((await chat(gateway, 'gpt-4o')).status, 200);
  assert.equal(keysUsed().filter((name) => name === 'a').length, 1, 'once refused, not asked again');
  const detail = (token) => fetch(`${gateway}/health?detail=1`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
  assert.equal((await detail()).status, 401);
  assert.equal((await detail('admin-token-2')).status, 401);
  const { keys, circuits } = await (await detail('admin-token-1')).json();
  assert.deepEqual([keys.openai.map(({ name }) => name), Object.keys(circuits)], [['a', 'b'], ['openai/a']]);
  assert.match(circuits['openai/a'], /set aside/);
  replay.answer = () => ({ status: 403, body: error('no') });
  const all = await chat(gateway, 'gpt-4o');
  assert.deepEqual([all.status, all.headers.get('x-bf-error-type')], [502, 'upstream_authentication']);
});

test('a malformed pool is told by name, by /health and by the error, and nothing of what it holds', async () => {
  const gateway = await start({ OPENAI_KEYS: '[{"value":"sk-pool-broken-secret"', ANTHROPIC_KEYS: pool({ value: 'sk-pool-x-secret', wieght: 1 }), ADMIN_TOKEN: '' });
  const health = await (await fetch(`${gateway}/health`)).json();
  assert.match(health.providers.openai, /OPENAI_KEYS is not a JSON list/);
  assert.match(health.providers.anthropic, /ANTHROPIC_KEYS \[0\] has a member/);
  const reply = await chat(gateway, 'gpt-4o');
  assert.equal(reply.status, 400);
  assert.match((await reply.json()).error.message, /OPENAI_KEYS/);
  assert.equal((await fetch(`${gateway}/health?detail=1`)).status, 403, 'without a token nobody is the owner');
});

test('five failures open a circuit, an open one is passed over, and with nobody left it is tried all the same', async () => {
  const gateway = await start({ MAX_RETRIES: '0', ANTHROPIC_KEYS: pool(key('an')) });
  replay.answer = ({ url }) => (url === '/v1/messages' ? { body: JSON.stringify({ id: 'm', type: 'message', role: 'assistant', model: 'm', content: [{ type: 'text', text: 'Hello' }], stop_reason: 'end_turn', usage: { input_tokens: 1, output_tokens: 1 } }) } : { status: 503, body: error('down') });
  const fallbacks = ['anthropic/claude-sonnet-4-5'];
  for (let i = 0; i < 5; i++) assert.equal((await chat(gateway, 'gpt-4o', {}, { fallbacks })).headers.get('x-bf-fallback-index'), '1');
  replay.requests.length = 0;
  const reply = await chat(gateway, 'gpt-4o', {}, { fallbacks });
  assert.deepEqual([reply.status, reply.headers.get('x-bf-attempts'), replay.requests.length], [200, '1', 1]);
  assert.match(reply.headers.get('x-bf-attempt-status'), /openai\/gpt-4o=open/);
  assert.equal((await chat(gateway, 'gpt-4o')).status, 503, 'asked, since nobody else is left');
});

const direct = { ALLOW_DIRECT_KEYS: 'true' };
test('a caller\'s own key is used for whichever provider the model names, and nowhere else', async () => {
  const gateway = await start(direct);
  const own = 'caller-own-key';
  for (const [model, sent, arrived] of [
    ['gpt-4o', { authorization: `Bearer ${own}` }, ['authorization', `Bearer ${own}`]], ['anthropic/claude-sonnet-4-5', { authorization: 'Bearer dummy-key', 'x-api-key': own }, ['x-api-key', own]],
    ['anthropic/claude-sonnet-4-5', { authorization: `Bearer ${own}` }, ['x-api-key', own]], ['gemini/gemini-2.5-flash', { 'x-goog-api-key': own }, ['x-goog-api-key', own]],
    ['vertex/gemini-2.5-flash', { authorization: 'Bearer ya29.own' }, ['authorization', 'Bearer ya29.own']], ['azure/gpt-4o', { 'api-key': own }, ['api-key', own]],
    ['ollama/llama3', { authorization: `Bearer ${own}` }, ['authorization', `Bearer ${own}`]], ['openai/gpt-4o', { authorization: 'Bearer sk-bf-virtual' }, ['authorization', 'Bearer sk-gateway-openai']],
    ['gpt-4o', { authorization: 'Bearer dummy-key' }, ['authorization', 'Bearer sk-gateway-openai']],
  ]) {
    await chat(gateway, model, sent);
    const { headers } = replay.last();
    assert.equal(headers[arrived[0]], arrived[1], model);
    if (arrived[1] !== 'Bearer sk-gateway-openai') assert.ok(!JSON.stringify(headers).includes('gateway-'), model);
  }
  // Their key, their error; and never to another provider.
  replay.answer = ({ url }) => (url === '/v1/chat/completions' ? { status: 401, body: error('your key is wrong') } : { status: 500, body: '{}' });
  const refused = await chat(gateway, 'gpt-4o', { authorization: `Bearer ${own}` });
  assert.deepEqual([refused.status, (await refused.json()).error.message], [401, 'your key is wrong']);
  replay.requests.length = 0;
  replay.answer = () => ({ status: 503, body: '{}' });
  await chat(gateway, 'gpt-4o', { authorization: `Bearer ${own}` }, { fallbacks: ['anthropic/claude-sonnet-4-5', 'openai/gpt-4o-mini'] });
  for (const { url, headers } of replay.requests) assert.equal(JSON.stringify(headers).includes(own), url === '/v1/chat/completions', url);
  const off = await start({});
  replay.answer = () => ({ body: chatAnswer });
  await chat(off, 'gpt-4o', { authorization: `Bearer ${own}`, 'x-bf-azure-endpoint': 'https://evil.example' });
  assert.equal(replay.last().headers.authorization, 'Bearer sk-gateway-openai');
});

test('an Azure endpoint is the caller\'s to name together with a key, and only below Azure\'s hosts', async () => {
  const gateway = await startBareGateway({ ...direct, AZURE_OPENAI_ENDPOINT: 'https://owner.openai.azure.com', AZURE_OPENAI_API_KEY: 'gateway-azure-key', AZURE_DEPLOYMENTS: '{"gpt-4":"owners"}' }, undefined, undefined, new URL(replay.url).host);
  const ask = (endpoint, apiKey = 'caller-azure-key') => {
    const azure = new AzureOpenAI({ apiKey, apiVersion: '2024-02-01', endpoint: `${gateway}/openai`, maxRetries: 0, ...(endpoint && { defaultHeaders: { 'x-bf-azure-endpoint': endpoint } }) });
    return azure.chat.completions.create({ model: 'gpt-4', messages: hello });
  };
  await ask('https://their-resource.openai.azure.com');
  const { headers, url } = replay.last();
  assert.deepEqual([headers.host, headers['api-key'], url], ['their-resource.openai.azure.com', 'caller-azure-key', '/openai/deployments/gpt-4/chat/completions?api-version=2024-02-01']);
  const before = replay.requests.length;
  for (const hostile of ['https://evil.example', 'http://their.openai.azure.com', 'https://their.openai.azure.com:8443', 'https://their.openai.azure.com@evil.example', 'https://127.0.0.1', 'https://[::1]', 'https://their.openai.azure.com.evil.example', 'https://169.254.169.254/latest', 'https://evil.example/?x=.openai.azure.com', 'https://evil.example#.openai.azure.com']) {
    await assert.rejects(ask(hostile), (refused) => refused.status === 400 && /x-bf-azure-endpoint/.test(refused.message), hostile);
  }
  assert.equal(replay.requests.length, before, 'nothing was sent');
  // Without a key of their own the header means nothing, and the gateway's key stays at home.
  await ask('https://their-resource.openai.azure.com', 'dummy-key');
  assert.deepEqual([replay.last().headers.host, replay.last().headers['api-key']], ['owner.openai.azure.com', 'gateway-azure-key']);
  await ask(undefined);
  assert.deepEqual([replay.last().headers.host, replay.last().headers['api-key']], ['owner.openai.azure.com', 'caller-azure-key']);
});

const seeds = path.join(shared, 'seeds');
test('the seed\'s samples of direct keys run as written, on a gateway that has no keys', { skip: !existsSync(seeds) && 'no ../shared/seeds' }, async () => {
  const demo = await startDemoProvider({ tokensPerSecond: 5000 });
  const folder = mkdtempSync(path.join(root, '.tools/samples-'));
  try {
    // The whole world is the demo provider: these samples name real hosts. The first half of one goes with the gateway's key.
    const gateway = await startBareGateway({ ...direct, OPENAI_API_KEY: 'sk-gateway-openai' }, undefined, undefined, new URL(demo.url).host);
    const wanted = samples(seeds, gateway, ['002']).filter(({ section, title }) => [section, title].includes('Using Direct Keys'));
    assert.equal(wanted.length, 2);
    for (const { code, index } of wanted) {
      const file = path.join(folder, `${index}.py`);
      writeFileSync(file, code);
      const asked = demo.getRequests().length;
      await run(path.join(root, '.tools/venv/bin/python'), [file], { timeout: 60_000 });
      assert.ok(demo.getRequests().length > asked);
    }
  } finally {
    demo.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a pinned key is of the first provider, and its fallbacks have their own', async () => {
  const gateway = await start({ OPENAI_KEYS: pool(key('a'), key('b')), MAX_RETRIES: '0' });
  replay.answer = ({ url }) => (url === '/v1/chat/completions' ? { status: 503, body: error('down') } : { body: '{}' });
  await chat(gateway, 'gpt-4o', { 'x-bf-api-key': 'b' }, { fallbacks: ['gemini/g'] });
  assert.deepEqual(replay.requests.map(({ headers }) => headers.authorization ?? headers['x-goog-api-key']), ['Bearer sk-pool-b-secret', 'gateway-gemini']);
});

test('both SDKs work with keys of the caller\'s', async () => {
  const gateway = await start(direct);
  await new OpenAI({ baseURL: `${gateway}/openai`, apiKey: 'caller-own-key', maxRetries: 0 }).chat.completions.create({ model: 'gpt-4o', messages: hello });
  assert.equal(replay.last().headers.authorization, 'Bearer caller-own-key');
  replay.answer = () => ({ body: JSON.stringify({ id: 'm', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: 'end_turn', usage: { input_tokens: 1, output_tokens: 1 } }) });
  await new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: 'caller-own-key', maxRetries: 0 }).messages.create({ model: 'claude-sonnet-4-5', max_tokens: 9, messages: hello });
  assert.equal(replay.last().headers['x-api-key'], 'caller-own-key');
  await new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: null, authToken: 'sk-ant-oat01-own', maxRetries: 0 }).messages.create({ model: 'claude-sonnet-4-5', max_tokens: 9, messages: hello });
  assert.deepEqual([replay.last().headers.authorization, replay.last().headers['x-api-key']], ['Bearer sk-ant-oat01-own', undefined]);
});
