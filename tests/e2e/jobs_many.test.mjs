// Very many async jobs at once. wrangler's local queue delivers them one after another, which takes its time.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startReplay } from '../upstream/replay_server.mjs';
import { allAt, startWithBindings } from './gateway.mjs';
import { answer, poll, rows, submit, use } from './jobs.mjs';

let replay, gateway;
before(async () => {
  replay = await startReplay(answer);
  gateway = use(await startWithBindings(allAt(replay.url)));
});
after(() => replay.stop());
beforeEach(() => { replay.requests.length = 0; });

test('500 jobs at once end in 500 answers', { timeout: 240_000 }, async () => {
  replay.answer = (request) => ({ ...answer(request), gap: 0 });
  const ids = [];
  let left = 500;
  await Promise.all(Array.from({ length: 25 }, async () => { while (left-- > 0) ids.push((await submit()).headers.get('x-bf-async-id')); }));
  assert.equal(new Set(ids).size, 500);
  const count = async () => Object.fromEntries((await rows('SELECT status, count(*) AS n FROM jobs GROUP BY status')).map(({ status, n }) => [status, n]));
  const marks = new Set(ids);
  for (let i = 0; ; i++) {
    const finished = new Set((await rows("SELECT id FROM jobs WHERE status = 'completed'")).map(({ id }) => id));
    if ([...marks].every((id) => finished.has(id))) break;
    assert.ok(i < 300, JSON.stringify(await count()));
    await sleep(500);
  }
  for (const id of ids.slice(0, 20)) assert.equal((await (await poll(id)).json()).choices[0].message.content, 'Once upon a time');
  assert.equal(replay.requests.length, 500, 'and none was done twice');
});
