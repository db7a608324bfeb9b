// Starts the built worker on workerd, as wrangler would, with settings that point at servers of the test.
import assert from 'node:assert/strict';
import net from 'node:net';
import { after } from 'node:test';
import path from 'node:path';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { createTestHarness } from 'wrangler';
import { startWorker, workerdVersion } from '../../bench/workerd.mjs';
import { startKv } from '../upstream/kv_server.mjs';

export const root = path.resolve(import.meta.dirname, '../..');
export const shared = path.resolve(root, '../shared');

/** Settings under which all six providers are the server at `at`. */
export const allAt = (at) => ({
  ALLOW_LOCAL_UPSTREAM: 'true',
  OPENAI_BASE_URL: `${at}/v1`, OPENAI_API_KEY: 'sk-gateway-openai',
  ANTHROPIC_BASE_URL: at, ANTHROPIC_API_KEY: 'sk-gateway-anthropic',
  GEMINI_BASE_URL: at, GEMINI_API_KEY: 'gateway-gemini',
  VERTEX_BASE_URL: at, VERTEX_API_KEY: 'gateway-vertex', GOOGLE_CLOUD_PROJECT: 'project-1',
  AZURE_OPENAI_ENDPOINT: at, AZURE_OPENAI_API_KEY: 'gateway-azure',
  OLLAMA_BASE_URL: at,
  // Failures are tried again here as anywhere, only sooner.
  RETRY_BACKOFF_INITIAL_MS: '5', RETRY_BACKOFF_MAX_MS: '20',
});

// Registered here and not where a gateway is started: what a hook registers ends with the hook.
const started = [];
after(() => Promise.all(started.map((harness) => harness.close())));

/** What came out of every gateway of this file: how many bytes, and which secrets stood in them. */
const out = { bytes: 0, leaks: [] };
after(() => {
  assert.deepEqual(out.leaks, [], 'secrets in what came out');
  if (out.bytes) console.log(`# ${path.basename(process.argv[1])}: no secret in ${out.bytes} bytes of answers and logs`);
});

/** The credentials among a gateway's settings, those of pools one by one. */
function secretsOf(vars) {
  const named = Object.entries(vars).filter(([name]) => /_KEYS?$|_TOKEN$|SERVICE_ACCOUNT$|^OTLP_HEADERS$/.test(name) && !/ALLOW_/.test(name));
  const valuesOf = ([name, value]) => {
    if (name === 'GOOGLE_SERVICE_ACCOUNT') return [JSON.parse(value).private_key.split('\n')[1]];
    if (name === 'OTLP_HEADERS') return value.split(',').map((header) => header.split('=')[1]);
    if (!name.endsWith('_KEYS')) return [value];
    // A malformed pool is told of as well, and must not be shown either.
    try { return JSON.parse(value).map((entry) => entry.value).filter((value) => typeof value === 'string'); } catch { return [value]; }
  };
  return named.flatMap(valuesOf).filter((secret) => secret.length >= 8);
}

/** Looks for secrets in bytes that come in pieces. */
export function watcher(secrets, seen = out) {
  const longest = Math.max(0, ...secrets.map((secret) => secret.length));
  let tail = '';
  return (piece) => {
    const text = tail + (typeof piece === 'string' ? piece : piece.toString('latin1'));
    seen.bytes += piece.length;
    seen.leaks.push(...secrets.filter((secret) => text.includes(secret)));
    tail = text.slice(Math.max(0, text.length - longest + 1));
  };
}

/** The address of a gateway, through which every byte that comes out is looked at. */
async function watched(port, secrets) {
  const sockets = new Set();
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (caller) => {
    const gateway = net.connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    const watch = watcher(secrets);
    gateway.on('data', watch);
    caller.pipe(gateway).pipe(caller);
    for (const [socket, other] of [[caller, gateway], [gateway, caller]]) {
      sockets.add(socket);
      // One end that breaks off breaks the other off: who has gone is seen, even where nothing is being said.
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', () => { sockets.delete(socket); other.destroy(); });
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  started.push({ close: () => { server.close(); sockets.forEach((socket) => socket.destroy()); } });
  return `http://127.0.0.1:${server.address().port}`;
}

/** The gateway's address; it ends with the test file. `keys` are virtual keys that may use everything. */
export async function startGateway(vars, keys = []) {
  const { url, env } = await startWithBindings(vars);
  for (const key of keys) await env.KEYS.put(nameOf(key), allowing(key));
  return url;
}

/** wrangler.toml for the worker as it is built, changed and with further lines; a file of that name in `.tools`. */
function builtConfig(name, more = '', change = (text) => text) {
  const file = path.join(root, '.tools', name);
  writeFileSync(file, change(readFileSync(path.join(root, 'wrangler.toml'), 'utf8')).replace(/\[build\]\n.*\n/, '').replace('"build/index.js"', '"../build/index.js"').replace('"migrations"', '"../migrations"') + more);
  started.push({ close: () => rmSync(file, { force: true }) });
  return file;
}

/** For tests that are not about how long the queue of records waits for others. */
export const promptly = (config) => config.replaceAll('max_batch_timeout = 2', 'max_batch_timeout = 0');

/** The gateway's address and its bindings; `more` are further lines of its wrangler.toml, and `change` makes others of those it has. */
export async function startWithBindings(vars, more, change) {
  const configPath = more || change ? builtConfig(`wrangler-${process.pid}-${started.length}.toml`, more, change) : path.join(root, 'wrangler.toml');
  const harness = createTestHarness({ workers: [{ configPath, vars }] });
  started.push({ close: () => { watcher(secretsOf(vars))(harness.getLogs().map(({ message }) => `${message}\n`).join('')); return harness.close(); } });
  const { url } = await harness.listen();
  const worker = harness.getWorker();
  await worker.applyD1Migrations('DB');
  return { url: await watched(new URL(url).port, secretsOf(vars)), worker, harness, env: await worker.getEnv() };
}

/**
 * The same worker on workerd alone. wrangler's harness has a worker of its own in front, through which neither a caller's
 * leaving nor a broken connection gets; so what is about connections is tested here. `onLine` is told what the worker logs; with
 * `everywhere` all hosts of the world are that address; `queues` are the addresses that stand for queues, by binding; `kv` those for
 * stores, `disk` is a folder in which the Durable Objects live on, and `keys` are virtual keys that may use everything.
 */
export async function startBareGateway(vars, onLine, onChild, everywhere, queues = {}, { kv = {}, disk, keys = [] } = {}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'gateway-'));
  disk ??= mkdtempSync(path.join(folder, 'objects-'));
  if (keys.length) {
    const store = await startKv(new Map(keys.map((key) => [nameOf(key), allowing(key)])));
    started.push({ close: store.stop });
    kv = { KEYS: store.address };
  }
  const bin = path.join(root, 'node_modules/.bin/workerd');
  const files = { 'index.js': path.join(root, 'build/index.js'), 'index_bg.wasm': path.join(root, 'build/index_bg.wasm') };
  let child;
  const log = watcher(secretsOf(vars));
  started.push({ close: () => { child?.kill('SIGKILL'); rmSync(folder, { recursive: true, force: true }); } });
  const { port } = await startWorker({ bin, folder, name: 'gateway', files, bindings: vars, date: workerdVersion(bin).date, output: 'pipe', everywhere, queues, kv, disk, objects: { BUDGETS: 'BudgetNode' }, track: (found) => { child = found; onChild?.(found); followLines(found, (line) => { log(`${line}\n`); onLine?.(line); }); } });
  return watched(port, secretsOf(vars));
}

/**
 * `wrangler dev` as a process of its own, whose state is the folder `state`: what can be killed and started again. `kill` ends it in the
 * middle of whatever it does; `sweep` fires the cron trigger.
 */
export async function startDev(state, vars) {
  const wrangler = path.join(root, 'node_modules/wrangler/bin/wrangler.js');
  const config = builtConfig(`wrangler-${process.pid}-${started.length}.toml`);
  const env = { ...process.env, WRANGLER_SEND_METRICS: 'false', CI: '1' };
  const settings = Object.entries(vars).flatMap(([name, value]) => ['--var', `${name}:${value}`]);
  execFileSync(process.execPath, [wrangler, 'd1', 'migrations', 'apply', 'DB', '--local', '--config', config, '--persist-to', state], { cwd: root, env, stdio: 'ignore' });
  const dev = spawn(process.execPath, [wrangler, 'dev', '--config', config, '--ip', '127.0.0.1', '--port', '0', '--inspector-port', '0', '--persist-to', state, '--show-interactive-dev-session=false', ...settings], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const kill = () => { try { process.kill(-dev.pid, 'SIGKILL'); } catch { /* it has ended */ } };
  const stop = kill;
  started.push({ close: stop });
  let out = '', url;
  const watch = watcher(secretsOf(vars));
  for (const stream of [dev.stdout, dev.stderr]) stream.on('data', (data) => { out += data; watch(data); });
  for (let i = 0; !url; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    url = out.match(/Ready on (http:\/\/127\.0\.0\.1:\d+)/)?.[1];
    assert.ok(url || (i < 400 && dev.exitCode === null), out);
  }
  return { url, kill, stop, sweep: () => fetch(`${url}/cdn-cgi/handler/scheduled?cron=*+*+*+*+*`) };
}

/** What the worker says on its console, line by line. */
function followLines(child, onLine) {
  for (const output of [child.stdout, child.stderr]) {
    let rest = '';
    output.on('data', (data) => {
      const lines = (rest + data).split('\n');
      rest = lines.pop();
      lines.forEach(onLine);
    });
  }
}

/** The name of a virtual key in the store, and the record of one that may use everything. */
export const nameOf = (key) => `vk:${createHash('sha256').update(key).digest('hex')}`;
export const allowing = (id) => JSON.stringify({ id: id.replaceAll(/[^\w.-]/g, '-'), name: id, provider_configs: [{ provider: '*', allowed_models: ['*'], keys: ['*'] }] });

/** Sends JSON, as no SDK of ours is in the way. */
export const post = (url, body, headers = {}) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });

export const hello = [{ role: 'user', content: 'Hello!' }];

/** The events of a stream: `{ event, data }`. */
export const eventsOf = (text) => text.split('\n\n').filter(Boolean).map((block) => {
  const line = (name) => block.split('\n').find((l) => l.startsWith(`${name}: `))?.slice(name.length + 2);
  return { event: line('event'), data: line('data') };
});
