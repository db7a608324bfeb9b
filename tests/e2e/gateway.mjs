// Starts the built worker on workerd, as wrangler would, with settings that point at servers of the test.
import { after } from 'node:test';
import path from 'node:path';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import { createTestHarness } from 'wrangler';
import { startWorker, workerdVersion } from '../../bench/workerd.mjs';

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

/** The gateway's address; it ends with the test file. */
export async function startGateway(vars) {
  const harness = createTestHarness({ workers: [{ configPath: path.join(root, 'wrangler.toml'), vars }] });
  started.push(harness);
  const { url } = await harness.listen();
  await harness.getWorker().applyD1Migrations('DB');
  return String(url).replace(/\/$/, '');
}

/**
 * The same worker on workerd alone. wrangler's harness has a worker of its own in front, through which neither a caller's
 * leaving nor a broken connection gets; so what is about connections is tested here. `onLine` is told what the worker logs.
 */
export async function startBareGateway(vars, onLine, onChild) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'gateway-'));
  const bin = path.join(root, 'node_modules/.bin/workerd');
  const files = { 'index.js': path.join(root, 'build/index.js'), 'index_bg.wasm': path.join(root, 'build/index_bg.wasm') };
  let child;
  started.push({ close: () => { child?.kill('SIGKILL'); rmSync(folder, { recursive: true, force: true }); } });
  const { port } = await startWorker({ bin, folder, name: 'gateway', files, bindings: vars, date: workerdVersion(bin).date, output: onLine ? 'pipe' : 'ignore', track: (found) => { child = found; onChild?.(found); if (onLine) followLines(found, onLine); } });
  return `http://127.0.0.1:${port}`;
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

/** Sends JSON, as no SDK of ours is in the way. */
export const post = (url, body, headers = {}) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });

export const hello = [{ role: 'user', content: 'Hello!' }];

/** The events of a stream: `{ event, data }`. */
export const eventsOf = (text) => text.split('\n\n').filter(Boolean).map((block) => {
  const line = (name) => block.split('\n').find((l) => l.startsWith(`${name}: `))?.slice(name.length + 2);
  return { event: line('event'), data: line('data') };
});
