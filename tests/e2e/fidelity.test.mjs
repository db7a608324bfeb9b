// Recorded replies through the built worker, judged from outside by the shared checker.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { root, shared } from './gateway.mjs';

const tool = path.join(shared, 'tools/fidelity');
test('every recorded reply arrives as the provider said it', { skip: !existsSync(tool) && 'no ../shared/tools/fidelity' }, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(tool, 'run.mjs'), path.join(tool, 'target-ours.mjs'), path.join(shared, 'corpus')], { cwd: root, maxBuffer: 1 << 24 })
    .catch((error) => assert.fail(error.stdout));
  console.log(stdout);
  assert.match(stdout, /faithful \(100\.0 %\)/);
});
