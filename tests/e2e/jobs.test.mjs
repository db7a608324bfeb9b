// Async jobs: submitted, polled, done by the queue's consumer, and never lost.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, createHmac } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { startReplay } from '../upstream/replay_server.mjs';
import { allAt, hello, post, root, shared, startWithBindings } from './gateway.mjs';
import { answer, ask, done, poll, rows, submit, use } from './jobs.mjs';
import { samples } from './seed_samples.mjs';

const TOKEN = 'owners-own-token', SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
let replay, gateway;
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = use(await startWithBindings({ ...allAt(replay.url), ADMIN_TOKEN: TOKEN, WEBHOOK_SECRET: SECRET, MAX_RETRIES: '1', ALLOW_DIRECT_KEYS: 'true' }));
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; replay.answer = answer; });

const of = (at = gateway) => ({ openai: new OpenAI({ baseURL: `${at.url}/openai/v1`, apiKey: 'dummy-key', maxRetries: 0 }), anthropic: new Anthropic({ baseURL: `${at.url}/anthropic`, apiKey: 'dummy-key', maxRetries: 0 }) });

test('each SDK submits, polls and gets its answer, whoever answers', async () => {
  const { openai, anthropic } = of();
  const submitting = { headers: { 'x-bf-async': 'true' } };
  const asking = ({ id }) => ({ headers: { 'x-bf-async-id': id } });
  const until = async (look, isDone) => { for (let i = 0; ; i++) { const found = await look(); if (isDone(found)) return found; assert.ok(i < 400); await sleep(50); } };

  for (const model of ['openai/gpt-4o', 'anthropic/claude-sonnet-4-5', 'gemini/gemini-2.5-flash', 'openai/gpt-5-mini']) {
    const first = await openai.chat.completions.create({ ...ask, model }, submitting);
    assert.deepEqual([first.object, first.choices, first.usage, first.model], ['chat.completion', [], null, model]);
    const chat = await until(() => openai.chat.completions.create({ ...ask, model }, asking(first)), ({ choices }) => choices.length);
    assert.equal(chat.choices[0].message.content, 'Once upon a time');
    assert.notEqual(chat.id, first.id, 'the answer has its own id');
    assert.equal(chat.usage.completion_tokens, 4);

    const queued = await openai.responses.create({ model, input: 'Hello!', store: false }, submitting);
    assert.equal(queued.status, 'queued');
    const response = await until(() => openai.responses.create({ model, input: 'Hello!' }, asking(queued)), ({ status }) => status !== 'queued' && status !== 'in_progress');
    assert.deepEqual([response.status, response.output_text], ['completed', 'Once upon a time']);

    const empty = await anthropic.messages.create({ ...ask, model, max_tokens: 99 }, submitting);
    assert.deepEqual([empty.type, empty.content, empty.stop_reason], ['message', [], null]);
    const message = await until(() => anthropic.messages.create({ ...ask, model, max_tokens: 99 }, asking(empty)), ({ content }) => content.length);
    assert.deepEqual([message.content[0].text, message.stop_reason, message.usage.output_tokens], ['Once upon a time', 'end_turn', 4]);
  }
  const none = await openai.embeddings.create({ model: 'openai/text-embedding-3-small', input: 'x', encoding_format: 'float' }, submitting);
  assert.deepEqual(none.data, []);
  const id = (await submit({ model: 'openai/text-embedding-3-small', input: 'x' }, {}, gateway, '/openai/v1/embeddings')).headers.get('x-bf-async-id');
  const vectors = await until(() => openai.embeddings.create({ model: 'openai/text-embedding-3-small', input: 'x', encoding_format: 'float' }, asking({ id })), ({ data }) => data.length);
  assert.deepEqual(vectors.data[0].embedding, [1, 2]);
});

test('a job is answered at once, and what it takes is on record under its name', async () => {
  replay.answer = (request) => ({ ...answer(request), delay: 700 });
  const since = Date.now();
  const reply = await submit();
  assert.ok(Date.now() - since < 600, 'nobody waits for the provider');
  const id = reply.headers.get('x-bf-async-id');
  assert.deepEqual([reply.status, reply.headers.get('x-bf-async-status'), reply.headers.get('retry-after')], [200, 'pending', '2']);
  assert.match(id, /^job_/);
  const result = await done(id);
  assert.deepEqual([result.status, result.headers.get('x-bf-provider'), result.headers.get('x-bf-async-status')], [200, 'openai', 'completed']);
  for (let i = 0; ; i++) {
    const { logs } = await (await fetch(`${gateway.url}/api/logs?parent_id=${id}&object=chat`, { headers: { authorization: `Bearer ${TOKEN}` } })).json();
    if (logs.length) { assert.deepEqual([logs[0].input_tokens, logs[0].output_tokens, logs[0].status], [9, 4, 'success']); break; }
    assert.ok(i < 100, 'no record');
    await sleep(100);
  }
  assert.equal((await rows('SELECT count(*) AS n FROM job_pieces WHERE job_id = ? AND part = ?', id, 'request'))[0].n, 0, 'what was asked is not kept longer than needed');
});

test('what cannot be a job is refused when it is submitted, in the words of the dialect', async () => {
  const kind = async (reply) => [reply.status, (await reply.json()).error.param];
  assert.deepEqual(await kind(await submit({ ...ask, stream: true })), [400, 'stream']);
  assert.deepEqual(await kind(await submit({ ...ask, messages: 'none' })), [400, 'messages']);
  assert.deepEqual(await kind(await submit({ model: 'openai/gpt-4o' })), [400, 'messages']);
  assert.deepEqual(await kind(await submit({ ...ask, model: undefined })), [400, 'model']);
  assert.deepEqual(await kind(await submit({ ...ask, model: 'anthropic/claude-sonnet-4-5', n: 2 })), [400, 'n']);
  assert.deepEqual(await kind(await submit(ask, { 'x-bf-async-job-result-ttl': '0' })), [400, 'x-bf-async-job-result-ttl']);
  assert.deepEqual(await kind(await submit(ask, { 'x-bf-async-job-result-ttl': '604801' })), [400, 'x-bf-async-job-result-ttl']);
  assert.deepEqual(await kind(await submit(ask, { authorization: 'Bearer sk-a-key-of-my-own' })), [400, 'x-bf-async']);
  assert.deepEqual(await kind(await submit(ask, { 'x-bf-async-callback': 'http://10.0.0.1/done' })), [400, 'x-bf-async-callback']);
  assert.deepEqual(await kind(await submit({ model: 'tts-1', input: 'x' }, {}, gateway, '/openai/v1/audio/speech')), [400, 'x-bf-async']);
  assert.equal((await submit('{')).status, 400);
  await assert.rejects(of().anthropic.messages.create({ ...ask, max_tokens: 9, stream: true }, { headers: { 'x-bf-async': '1' } }), (error) => error instanceof Anthropic.BadRequestError && error.error.error.type === 'invalid_request_error');
  assert.equal((await rows("SELECT count(*) AS n FROM jobs WHERE status = 'queued'"))[0].n, 0);
  for (const off of ['false', '0', '']) {
    const sync = await submit({ ...ask, stream: true }, { 'x-bf-async': off });
    assert.deepEqual([sync.status, sync.headers.get('x-bf-async-id')], [200, null], `'${off}' is no job`);
    await sync.text();
  }
});

test('a job is its caller\'s alone: foreign keys, tampered and expired identifiers are all alike', async () => {
  const hash = (key) => createHash('sha256').update(key).digest('hex');
  for (const key of ['sk-bf-a', 'sk-bf-b']) await gateway.env.KEYS.put(`vk:${hash(key)}`, JSON.stringify({ id: key, name: key, provider_configs: [{ provider: '*', allowed_models: ['*'], keys: ['*'] }], rate_limit: { request_max_limit: 1, request_reset_duration: '1h' } }));
  const mine = { 'x-bf-vk': 'sk-bf-a' };
  const id = (await submit(ask, mine)).headers.get('x-bf-async-id');
  assert.equal((await done(id, mine)).status, 200);
  const missing = async (reply) => { const { error } = await reply.json(); return [reply.status, error.code, error.message.replaceAll(/job_\w+/g, 'job')]; };
  const expected = await missing(await poll('job_none'));
  assert.deepEqual(expected.slice(0, 2), [404, 'job_not_found']);
  for (const reply of [await poll(id), await poll(id, { 'x-bf-vk': 'sk-bf-b' }), await poll(`${id}x`, mine), await poll(id.toUpperCase(), mine), await poll("' OR 1=1 --", mine).then((reply) => poll('job_x', mine, gateway).then(() => reply))]) {
    assert.deepEqual((await missing(reply)).slice(0, 2), expected.slice(0, 2));
  }
  assert.equal((await fetch(`${gateway.url}/v1/async/jobs/${id}`)).status, 404);
  assert.equal((await fetch(`${gateway.url}/v1/async/jobs/${id}`, { headers: mine })).status, 200);
  // The key's limits: the job took the one request that there was, its submission none.
  const refused = await submit(ask, mine);
  assert.deepEqual([refused.status, refused.headers.get('x-bf-error-type')], [429, 'rate_limited']);
  const stored = JSON.stringify(await rows('SELECT * FROM jobs WHERE id = ?', id));
  assert.ok(!stored.includes('sk-bf-a') && stored.includes(hash('sk-bf-a')), 'the key itself is kept nowhere');

  const brief = (await submit(ask, { 'x-bf-async-job-result-ttl': '1' })).headers.get('x-bf-async-id');
  assert.equal((await done(brief)).status, 200);
  await sleep(1300);
  assert.equal((await poll(brief)).status, 404, 'it has expired, though nobody has swept');
  await gateway.worker.scheduled({ cron: '* * * * *' });
  assert.equal((await rows('SELECT count(*) AS n FROM jobs WHERE id = ?', brief))[0].n, 0);
  assert.equal((await rows('SELECT count(*) AS n FROM job_pieces WHERE job_id = ?', brief))[0].n, 0);
});

test('a job is polled where its answer can be rendered, and nowhere else', async () => {
  const id = (await submit()).headers.get('x-bf-async-id');
  const message = await (await done(id, {}, gateway, '/anthropic/v1/messages')).json();
  assert.deepEqual([message.type, message.content[0].text, message.model], ['message', 'Once upon a time', 'openai/gpt-4o']);
  const response = await (await poll(id, {}, gateway, '/openai/v1/responses')).json();
  assert.deepEqual([response.object, response.status], ['response', 'completed']);
  assert.equal((await poll(id, {}, gateway, '/openai/v1/embeddings')).status, 404);
  replay.answer = () => ({ status: 400, body: JSON.stringify({ error: { message: 'the prompt is too long', type: 'invalid_request_error' } }) });
  const failed = (await submit()).headers.get('x-bf-async-id');
  const chat = await done(failed);
  assert.deepEqual([chat.status, chat.headers.get('x-bf-async-status'), (await chat.json()).error.message], [400, 'failed', 'the prompt is too long']);
  const anthropic = await poll(failed, {}, gateway, '/anthropic/v1/messages');
  const error = await anthropic.json();
  assert.deepEqual([anthropic.status, error.type, error.error.message, anthropic.headers.get('x-bf-async-status')], [400, 'error', 'the prompt is too long', 'failed']);
  await assert.rejects(of().openai.chat.completions.create(ask, { headers: { 'x-bf-async-id': failed } }), OpenAI.BadRequestError);
});

test('callers without an SDK have routes of their own, and take back what has not begun', async () => {
  replay.answer = (request) => ({ ...answer(request), delay: 300 });
  for (const [path, body] of [['chat/completions', ask], ['responses', { model: 'openai/gpt-5-mini', input: 'x', store: false }], ['messages', { ...ask, max_tokens: 9 }], ['embeddings', { model: 'openai/text-embedding-3-small', input: 'x' }]]) {
    const reply = await post(`${gateway.url}/v1/async/${path}`, body);
    const { id, status, created_at } = await reply.json();
    assert.deepEqual([reply.status, status], [202, 'pending'], path);
    assert.match(created_at, /^\d{4}-\d\d-\d\dT/);
    for (let i = 0; ; i++) {
      const job = await fetch(`${gateway.url}/v1/async/jobs/${id}`);
      const told = await job.json();
      if (job.status === 200) {
        assert.deepEqual([told.status, told.status_code, Boolean(told.result)], ['completed', 200, true], path);
        break;
      }
      assert.deepEqual([job.status, ['pending', 'processing'].includes(told.status)], [202, true]);
      assert.ok(i < 100);
      await sleep(50);
    }
    const late = await fetch(`${gateway.url}/v1/async/jobs/${id}`, { method: 'DELETE' });
    assert.deepEqual([late.status, late.headers.get('x-bf-error-type')], [409, 'job_started']);
  }
  // One that nobody can begin yet.
  const id = (await submit()).headers.get('x-bf-async-id');
  await done(id);
  await gateway.env.DB.prepare("UPDATE jobs SET status = 'queued', not_before = 9e15 WHERE id = ?").bind(id).run();
  assert.deepEqual(await (await fetch(`${gateway.url}/v1/async/jobs/${id}`, { method: 'DELETE' })).json(), { id, status: 'cancelled' });
  assert.equal((await fetch(`${gateway.url}/v1/async/jobs/${id}`)).status, 404);
});

test('a provider that fails for a while is asked again, and one that fails for good ends the job', { timeout: 120_000 }, async () => {
  let asked = 0;
  replay.answer = (request) => (++asked <= 3 ? { status: 429, body: '{"error":{"message":"slow down"}}', headers: { 'retry-after': '1' } } : answer(request));
  const id = (await submit()).headers.get('x-bf-async-id');
  const reply = await done(id);
  assert.deepEqual([reply.status, asked], [200, 4]);
  assert.equal((await rows('SELECT attempts FROM jobs WHERE id = ?', id))[0].attempts, 2, 'two attempts of two tries each');
  asked = 0;
  replay.answer = () => { asked++; return { status: 401, body: '{"error":{"message":"bad key"}}' }; };
  const failed = await done((await submit()).headers.get('x-bf-async-id'));
  assert.deepEqual([failed.status, failed.headers.get('x-bf-error-type')], [502, 'upstream_authentication']);
});

test('every async sample of the seeds runs as written', { skip: !existsSync(path.join(shared, 'seeds')) && 'no ../shared/seeds', timeout: 180_000 }, async (t) => {
  const wanted = samples(path.join(shared, 'seeds'), gateway.url, ['000', '001', '002']).filter(({ code }) => code.includes('x-bf-async'));
  assert.ok(wanted.length >= 6, `${wanted.length} samples`);
  const folder = mkdtempSync(path.join(root, '.tools/samples-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  for (const { seed, index, language, title, code } of wanted) {
    await t.test(`${seed} sample ${index}, ${title} (${language})`, async () => {
      const file = path.join(folder, `${seed}-${index}.${language === 'python' ? 'py' : 'mjs'}`);
      writeFileSync(file, code);
      replay.requests.length = 0;
      const { stdout } = await promisify(execFile)(language === 'python' ? path.join(root, '.tools/venv/bin/python') : process.execPath, [file], { timeout: 60_000 });
      assert.match(stdout, /Once upon a time/);
      assert.equal(replay.requests.length, 1);
    });
  }
});

test('who asks for it is told, signed, and again until they hear', { timeout: 120_000 }, async () => {
  const heard = [];
  const hook = await startReplay((request) => { heard.push(request); return { status: heard.length === 1 ? 500 : 204, body: '' }; });
  after(() => hook.stop());
  const id = (await submit(ask, { 'x-bf-async-callback': `${hook.url}/done` })).headers.get('x-bf-async-id');
  await done(id);
  for (let i = 0; heard.length < 1; i++) { assert.ok(i < 100, 'nobody was told'); await sleep(100); }
  const [{ headers, body, url }] = heard;
  assert.equal(url, '/done');
  assert.equal(headers['webhook-id'], id);
  const signed = createHmac('sha256', Buffer.from(SECRET.slice(6), 'base64')).update(`${id}.${headers['webhook-timestamp']}.${body}`).digest('base64');
  assert.equal(headers['webhook-signature'], `v1,${signed}`);
  assert.deepEqual([JSON.parse(body).type, JSON.parse(body).data], ['async_job.completed', { id, object: 'chat', status: 'completed', status_code: 200 }]);
  for (let i = 0; heard.length < 2; i++) { assert.ok(i < 500, 'not told again'); await sleep(100); }
  await sleep(500);
  assert.equal((await rows('SELECT callback_at FROM jobs WHERE id = ?', id))[0].callback_at, null);
});
