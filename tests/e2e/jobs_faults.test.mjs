// Async jobs when things go wrong: messages lost and doubled, consumers that die, providers that stall.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startReplay, streams } from '../upstream/replay_server.mjs';
import { allAt, root, startDev, startWithBindings } from './gateway.mjs';
import { answer, ask, done, poll, rows, submit, use, words } from './jobs.mjs';

let replay, gateway;
before(async () => {
  replay = await startReplay(() => ({}));
  gateway = use(await startWithBindings({ ...allAt(replay.url), MAX_RETRIES: '1' }, '\n[[queues.producers]]\nbinding = "DEAD"\nqueue = "finops-jobs-dlq"\n'));
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; replay.answer = answer; });

test('a message that comes twice at once runs its job once, and one that is none harms nobody', async () => {
  const send = (body) => gateway.env.JOBS.send(body, { contentType: 'text' });
  replay.answer = (request) => ({ ...answer(request), delay: 500 });
  const id = (await submit()).headers.get('x-bf-async-id');
  await Promise.all([send('garbage'), send('{"v":1}'), send('{"v":1,"do":"job_none"}'), ...Array.from({ length: 5 }, () => send(JSON.stringify({ v: 1, do: id })))]);
  assert.equal((await done(id)).status, 200);
  await sleep(700);
  assert.equal(replay.requests.length, 1);
});

test('a message that was lost is sent again by the sweeper, and a dead consumer\'s job is done by another', { timeout: 60_000 }, async () => {
  const id = (await submit()).headers.get('x-bf-async-id');
  await done(id);
  const [{ call }] = await rows('SELECT call FROM jobs WHERE id = ?', id);
  const open = async (name, status, more) => {
    await gateway.env.DB.prepare(`INSERT INTO jobs (id, kind, owner, status, call, created_at, sent_at, expires_at, ttl_s, ${Object.keys(more)}) VALUES (?, 'chat', '', ?, ?, ?, ?, ?, 60, ${Object.values(more)})`).bind(name, status, call, Date.now(), Date.now() - 120_000, Date.now() + 3_600_000).run();
    await gateway.env.DB.prepare("INSERT INTO job_pieces VALUES (?, 'request', 1, ?)").bind(name, JSON.stringify(ask)).run();
  };
  await open('job_lost', 'queued', { attempts: 0 });
  await open('job_dead', 'processing', { attempts: 1, lease_until: Date.now() - 1, claim: "'of the dead'" });
  await open('job_live', 'processing', { attempts: 1, lease_until: Date.now() + 3_600_000, claim: "'of the living'" });
  await open('job_often', 'processing', { attempts: 5, lease_until: Date.now() - 1, claim: "'of the dead'" });
  await gateway.worker.scheduled({ cron: '* * * * *' });
  for (const name of ['job_lost', 'job_dead']) assert.equal((await done(name)).status, 200, name);
  assert.equal((await done('job_often')).status, 502, 'tried often enough');
  assert.equal((await poll('job_live')).headers.get('x-bf-async-status'), 'processing');
  assert.equal(replay.requests.length, 3);
});

test('what a provider does not stream is asked for whole, and an error of the edge before it may pass', { timeout: 60_000 }, async () => {
  const chat = { id: 'c', object: 'chat.completion', created: 1, model: 'o3', choices: [{ index: 0, message: { role: 'assistant', content: 'whole' }, finish_reason: 'stop' }], usage: { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 } };
  replay.answer = (request) => (request.json().stream ? { status: 400, body: JSON.stringify({ error: { message: 'Your organization must be verified to stream this model.', type: 'invalid_request_error', param: 'stream', code: 'unsupported_value' } }) } : { body: JSON.stringify(chat) });
  for (const path of ['/openai/v1/chat/completions', '/anthropic/v1/messages']) {
    const id = (await submit({ model: 'openai/gpt-4o', messages: [{ role: 'user', content: 'x' }], max_tokens: 9 }, {}, gateway, path)).headers.get('x-bf-async-id');
    const reply = await done(id, {}, gateway, path);
    assert.match(await reply.text(), /whole/, path);
  }
  let asked = 0;
  replay.answer = (request) => (++asked === 1 ? { status: 524, body: 'error code: 524' } : answer(request));
  const id = (await submit()).headers.get('x-bf-async-id');
  assert.equal((await done(id)).status, 200);
});

test('a job whose message was delivered too often fails, and one that somebody is at does not', { timeout: 60_000 }, async () => {
  const made = [];
  for (let i = 0; i < 2; i++) made.push((await submit()).headers.get('x-bf-async-id'));
  for (const id of made) await done(id);
  const [stuck, live] = made;
  await gateway.env.DB.prepare("UPDATE jobs SET status = 'queued', not_before = 9e15 WHERE id = ?").bind(stuck).run();
  await gateway.env.DB.prepare("UPDATE jobs SET status = 'processing', lease_until = 9e15 WHERE id = ?").bind(live).run();
  for (const id of made) await gateway.env.DEAD.send(JSON.stringify({ v: 1, do: id }), { contentType: 'text' });
  await gateway.env.DEAD.send('garbage', { contentType: 'text' });
  const reply = await done(stuck);
  assert.deepEqual([reply.status, reply.headers.get('x-bf-async-status')], [502, 'failed']);
  assert.match((await reply.json()).error.message, /could not be delivered/);
  assert.equal((await poll(live)).headers.get('x-bf-async-status'), 'processing');
});

test('a request and an answer of several megabytes go in pieces', { timeout: 60_000 }, async () => {
  const long = 'ä'.repeat(2_000_000);
  replay.answer = (request) => ({ ...answer(request), body: streams.chat([long, '!']) });
  const id = (await submit({ ...ask, messages: [{ role: 'user', content: long }] })).headers.get('x-bf-async-id');
  const reply = await done(id);
  assert.equal((await reply.json()).choices[0].message.content, `${long}!`);
  assert.equal(replay.requests[0].json().messages[0].content, long);
  const sizes = await rows("SELECT max(length(CAST(data AS BLOB))) AS most, count(*) AS n FROM job_pieces WHERE job_id = ?", id);
  assert.ok(sizes[0].n >= 3 && sizes[0].most <= 1_500_000, JSON.stringify(sizes));
});

test('a provider that stalls is given up and asked again, and a stream that breaks off is no answer', { timeout: 120_000 }, async () => {
  const brief = await startWithBindings({ ...allAt(replay.url), ASYNC_JOB_TIMEOUT_MS: '1500', MAX_RETRIES: '0' });
  let asked = 0;
  replay.answer = (request) => (++asked === 1 ? { body: streams.chat(words, { done: false }), stall: 60_000 } : asked === 2 ? { body: streams.chat(words, { done: false }), cut: true } : answer(request));
  const id = (await submit(ask, {}, brief)).headers.get('x-bf-async-id');
  const reply = await done(id, {}, brief);
  assert.deepEqual([reply.status, (await reply.json()).choices[0].message.content, asked], [200, 'Once upon a time', 3]);
});

test('a consumer that is killed in the middle loses nothing: started again on the same state, its job is done once', { timeout: 180_000 }, async () => {
  const state = mkdtempSync(path.join(root, '.tools/state-'));
  after(() => rmSync(state, { recursive: true, force: true }));
  const vars = { ...allAt(replay.url), ASYNC_JOB_TIMEOUT_MS: '4000' };
  const first = await startDev(state, vars);
  replay.answer = (request) => ({ ...answer(request), delay: 30_000 });
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push((await submit(ask, {}, first)).headers.get('x-bf-async-id'));
  for (let i = 0; replay.requests.length < 3; i++) { assert.ok(i < 200, 'nobody began'); await sleep(50); }
  first.kill();
  replay.answer = answer;
  replay.requests.length = 0;
  const second = await startDev(state, vars);
  assert.equal((await poll(ids[2], {}, second)).headers.get('x-bf-async-status'), 'processing', 'the dead has the lease for a while');
  await sleep(5000);
  // The message went with the dead; what was sent a minute ago is taken for lost.
  for (let i = 0; ; i++) {
    await second.sweep();
    const states = await Promise.all(ids.map(async (id) => (await poll(id, {}, second)).headers.get('x-bf-async-status')));
    if (states.every((state) => state === 'completed')) break;
    assert.ok(i < 50, states.join());
    await sleep(2000);
  }
  for (const id of ids) assert.equal((await (await poll(id, {}, second)).json()).choices[0].message.content, 'Once upon a time');
  await second.sweep();
  await sleep(500);
  assert.equal(replay.requests.length, 3, 'each was done once more, and not again');
  second.stop();
});
