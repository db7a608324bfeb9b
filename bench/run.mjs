// Compares the gateway with a bare JS proxy and a JS reader-writer pump: CPU of each one's workerd, and time to first byte.
//   node bench/run.mjs [--gateway build] [--only passthrough] [--rounds 15] [--requests 100] [--gap 0] [--out FILE] [--workerd BIN]
// --requests is the number of streamed requests per round and worker; ten times as many go unstreamed.
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { load } from './load.mjs';
import { report } from './report.mjs';
import { startKv } from '../tests/upstream/kv_server.mjs';
import { ANTHROPIC_STREAM, OPENAI_STREAM } from './upstream.mjs';
import { cpuMs, startWorker, workerdVersion } from './workerd.mjs';

const here = import.meta.dirname;
const CONNECTIONS = 4;
/** Records go on their way after the answer. */
const SETTLING_MS = 300;
const UNSTREAMED_FACTOR = 10; // an unstreamed request costs a fraction

const { values: options } = parseArgs({ options: {
  rounds: { type: 'string', default: '15' },
  requests: { type: 'string', default: '100' },
  gap: { type: 'string', default: '0' }, // ms between upstream chunks; 0 = one per turn of the event loop
  gateway: { type: 'string' },
  only: { type: 'string', default: '' }, // scenarios whose name holds this
  out: { type: 'string' },
  workerd: { type: 'string', default: join(here, '../node_modules/.bin/workerd') },
} });
const rounds = Number(options.rounds), requests = Number(options.requests), gap = Number(options.gap);
if (!(rounds >= 1 && requests >= CONNECTIONS && gap >= 0)) throw new Error('--rounds, --requests or --gap makes no sense');

const prompt = 'Summarise the following report in three sentences. '.repeat(18).trim();
const body = (model, stream) => JSON.stringify({ model, messages: [{ role: 'user', content: prompt }], max_tokens: 256, stream });
const openai = { path: '/v1/chat/completions', gatewayPath: '/openai/v1/chat/completions' };

// `gatewayBody` differs only where the gateway is to translate: there proxy and pump carry the same upstream bytes as they are.
const LANES = [
  { name: 'identity, unstreamed', ...openai, body: body('gpt-4o-mini', false), requests: requests * UNSTREAMED_FACTOR, chunks: 0, endMark: 'fp_bench' },
  { name: 'identity, streamed', ...openai, body: body('gpt-4o-mini', true), requests, chunks: OPENAI_STREAM.length, endMark: '[DONE]' },
  { name: 'hub, streamed', path: '/v1/messages', gatewayPath: openai.gatewayPath, requests, chunks: ANTHROPIC_STREAM.length,
    body: body('claude-sonnet-4-5', true), gatewayBody: body('anthropic/claude-sonnet-4-5', true), endMark: 'message_stop', gatewayEndMark: '[DONE]' },
  { name: 'passthrough, streamed', path: openai.path, gatewayPath: '/openai_passthrough/v1/chat/completions',
    body: body('gpt-4o-mini', true), requests, chunks: OPENAI_STREAM.length, endMark: '[DONE]' },
];
// What the virtual key costs: the same again with one that has a lease on all its limits.
const KEY = 'sk-bf-bench';
const KEPT = JSON.stringify({ id: 'bench', name: 'bench', provider_configs: [{ provider: '*', allowed_models: ['*'], keys: ['*'] }], budget: { max_limit: 1_000_000, reset_duration: '1M' },
  rate_limit: { request_max_limit: 1_000_000_000, request_reset_duration: '1d', token_max_limit: 1_000_000_000_000, token_reset_duration: '1d' } });
const GOVERNED = [LANES[0]].map((lane) => ({ ...lane, logged: true, headers: { 'x-bf-vk': KEY }, name: `${lane.name}, recorded, virtual key` }));
const SCENARIOS = [...LANES.flatMap((lane) => [false, true].map((logged) => ({ ...lane, logged, name: `${lane.name}, ${logged ? 'recorded' : 'unrecorded'}` }))), ...GOVERNED]
  .filter(({ name }) => name.includes(options.only));

const children = [];
const track = (child) => children.push(child);
const folder = mkdtempSync(join(tmpdir(), 'bench-'));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

async function startUpstream() {
  const child = fork(join(here, 'upstream.mjs'), [String(gap)]);
  track(child);
  return new Promise((ready, failed) => {
    child.once('message', ({ port }) => ready(`http://127.0.0.1:${port}`));
    child.once('exit', (code) => failed(new Error(`upstream ended with ${code}`)));
  });
}

function describeWorkers(upstream, kv) {
  const workers = ['proxy', 'pump'].map((name) =>
    ({ name, files: { 'index.js': join(here, 'workers', `${name}.js`) }, bindings: { UPSTREAM: upstream } }));
  const build = options.gateway && resolve(options.gateway);
  const files = build && { 'index.js': join(build, 'index.js'), 'index_bg.wasm': join(build, 'index_bg.wasm') };
  if (files && Object.values(files).every(existsSync)) {
    for (const logged of [true, false]) {
      workers.push({ name: 'gateway', home: `gateway-${logged}`, logged, files, output: 'ignore', queues: logged ? { LOGS: new URL(upstream).host } : {},
        kv: { KEYS: kv.address }, objects: { BUDGETS: 'BudgetNode' }, disk: mkdtempSync(join(folder, 'objects-')), bindings: {
        OPENAI_BASE_URL: `${upstream}/v1`, OPENAI_API_KEY: 'sk-bench', ANTHROPIC_BASE_URL: upstream, ANTHROPIC_API_KEY: 'sk-ant-bench',
        ALLOW_LOCAL_UPSTREAM: 'true', LOG_REQUESTS: String(logged) } });
    }
  } else console.error(`gateway skipped: ${build ? `no index.js and index_bg.wasm in ${build}` : 'no --gateway given'}`);
  return workers;
}

async function measure(worker, scenario, count) {
  const viaGateway = worker.name === 'gateway';
  const before = cpuMs(worker.pid);
  const answers = await load({ requests: count, connections: CONNECTIONS, port: worker.port,
    path: viaGateway ? scenario.gatewayPath : scenario.path,
    body: (viaGateway && scenario.gatewayBody) || scenario.body,
    endMark: (viaGateway && scenario.gatewayEndMark) || scenario.endMark,
    headers: viaGateway ? scenario.headers : undefined,
  }).catch((error) => { throw new Error(`${worker.name}, ${scenario.name}: ${error.message}`); });
  await sleep(SETTLING_MS);
  return { cpu: (cpuMs(worker.pid) - before) / count, answers };
}

try {
  const version = workerdVersion(options.workerd);
  const upstream = await startUpstream();
  const kv = await startKv(new Map([[`vk:${createHash('sha256').update(KEY).digest('hex')}`, KEPT]]));
  const workers = [];
  for (const each of describeWorkers(upstream, kv)) {
    workers.push({ ...await startWorker({ bin: options.workerd, folder, date: version.date, track, ...each, name: each.home ?? each.name }), name: each.name, logged: each.logged });
  }

  // Round 0 warms up (JIT, connections) and is dropped. Workers alternate within a scenario, so that noise hits all alike.
  const results = new Map(SCENARIOS.map(({ name }) => [name, new Map(workers.map((worker) => [worker.name, []]))]));
  // Two gateways run, one of which keeps no records; a scenario has one of them.
  const inScenario = ({ logged = true }) => workers.filter((worker) => (worker.logged ?? logged) === logged);
  for (let round = 0; round <= rounds; round++) {
    console.error(round ? `round ${round} of ${rounds}` : 'warm-up');
    for (const scenario of SCENARIOS) {
      for (const worker of inScenario(scenario)) {
        const result = await measure(worker, scenario, round ? scenario.requests : scenario.requests * 2);
        if (round) results.get(scenario.name).get(worker.name).push(result);
      }
    }
  }

  const machine = `${cpus()[0].model.trim()}, ${cpus().length} cores`;
  const markdown = report({ scenarios: SCENARIOS, results, machine, version, rounds, requests, gap, connections: CONNECTIONS });
  console.log(markdown);
  if (options.out) writeFileSync(options.out, markdown);
  process.exit(0);
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exit(1);
}
