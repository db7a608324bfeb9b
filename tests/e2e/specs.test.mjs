// What the gateway sends and answers, judged by the providers' own OpenAPI specifications.
//
// Requests: `steady` is the provider and refuses what the specification does. Answers: `prism` stands between caller and
// gateway. Complaints that are not the gateway's fault are listed with their reason.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { startReplay } from '../upstream/replay_server.mjs';
import { allAt, hello, post, root, shared, startBareGateway } from './gateway.mjs';

const specs = { openai: path.join(shared, 'specs/openai.openapi.json'), anthropic: path.join(shared, 'specs/anthropic.openapi.tryagi.yaml') };
const skip = !existsSync(specs.openai) && 'no ../shared/specs';
const corpus = (name) => gunzipSync(readFileSync(path.join(shared, `corpus/${name}.jsonl.gz`))).toString().split('\n').filter(Boolean).map((line) => JSON.parse(line));
const children = [];
// The whole group: `steady` is a launcher of the program that does the work.
after(() => children.forEach(({ pid }) => { try { process.kill(-pid, 'SIGKILL'); } catch { /* it has ended */ } }));

const freePort = () => new Promise((resolve) => { const server = createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)); }); });

/** OpenAI's specification without discriminators, which `steady` cannot follow through the items of a response, and under `/v1` too. */
function withoutDiscriminators(spec) {
  const strip = (value) => {
    if (!value || typeof value !== 'object') return value;
    if (Array.isArray(value)) return value.map(strip);
    return Object.fromEntries(Object.entries(value).filter(([key, inner]) => !(key === 'discriminator' && inner?.propertyName)).map(([key, inner]) => [key, strip(inner)]));
  };
  const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'spec-')), 'openai.json');
  const copy = strip(JSON.parse(readFileSync(spec)));
  for (const [where, operations] of Object.entries(copy.paths)) copy.paths[`/v1${where}`] = operations;
  writeFileSync(file, JSON.stringify(copy));
  return file;
}

/** Starts `steady` on a specification; `complaints()` are those about the requests so far. */
async function startSteady(spec) {
  const port = await freePort(), url = `http://127.0.0.1:${port}`;
  const child = spawn(path.join(root, 'node_modules/.bin/steady'), ['--no-color', '--log-format=json', '--host', '127.0.0.1', '-p', String(port), spec], { detached: true });
  children.push(child);
  let log = '';
  child.stdout.on('data', (data) => { log += data; });
  for (let i = 0; i < 100; i++) {
    if (await fetch(`${url}/_x-steady/health`).then((r) => r.ok, () => false)) break;
    await sleep(100);
  }
  const requests = () => log.split('\n').flatMap((line) => { try { const entry = JSON.parse(line); return entry.type === 'request' && !entry.request.path.startsWith('/_') ? [entry] : []; } catch { return []; } });
  return { url, requests, complaints: () => requests().flatMap(({ diagnostics }) => diagnostics ?? []).filter(({ severity }) => severity !== 'info') };
}

/** Complaints that are not the gateway's fault, by where they point. */
const accepted = {
  // One recorded tool has `true` for a schema: the caller's own, carried as it came.
  openai: ({ requestPath, actual, message }) => (/^body\.tools\.\d+\.function\.parameters$/.test(requestPath) && actual === 'boolean')
    // A message fits two of the specification's forms of an item, and is right in either.
    || (/^body\.input\.\d+$/.test(requestPath) && message === '2 variants structurally match, ambiguous'),
  // Anthropic takes role "system" in mid-conversation, and its SDK's types have it; the specification at hand is older.
  anthropic: ({ requestPath, actual }) => /^body\.messages\.\d+\.role$/.test(requestPath) && actual === 'system',
};

for (const [judge, file, caller, model] of [
  ['openai', 'anthropic.messages.json', 'messages', 'openai/gpt-4o'],
  ['openai', 'anthropic.messages.json', 'messages', 'openai/o4-mini'],
  ['anthropic', 'openai.responses.json', 'responses', 'anthropic/claude-sonnet-4-5'],
  ['openai', 'openai.responses.json', 'responses', 'ollama/demo-model'],
  ['anthropic', 'openai.chat.json', 'chat', 'anthropic/claude-sonnet-4-5'],
  ['anthropic', 'openai.chat.sse', 'chat', 'anthropic/claude-opus-4-6'],
  ['anthropic', 'openrouter.chat.json', 'chat', 'anthropic/claude-sonnet-4-5'],
]) {
  test(`requests of ${file} translated for ${model} are what its specification says`, { skip }, async () => {
    const steady = await startSteady(judge === 'openai' ? withoutDiscriminators(specs.openai) : specs[judge]);
    const gateway = await startBareGateway({ ...allAt(steady.url), OPENAI_BASE_URL: steady.url });
    let sent = 0;
    for (const { request } of corpus(file)) {
      if (!request?.messages && !request?.input) continue;
      const url = gateway + { chat: '/openai/v1/chat/completions', responses: '/openai/v1/responses', messages: '/anthropic/v1/messages' }[caller];
      const reply = await post(url, { ...request, model, stream: false });
      if (reply.headers.get('x-bf-error-type') === null || ![400, 404].includes(reply.status)) sent++;
      await reply.arrayBuffer();
    }
    await sleep(300);
    const complaints = steady.complaints().filter((complaint) => !accepted[judge](complaint));
    console.log(`${file} for ${judge}: ${steady.requests().length} requests judged, ${steady.complaints().length} complaints, ${complaints.length} not accepted`);
    assert.ok(steady.requests().length >= sent && sent > 50);
    assert.deepEqual(complaints.slice(0, 10).map((complaint) => JSON.stringify(complaint)), []);
  });
}

for (const [judge, callerPath, base, files, model] of [
  ['anthropic', '/v1/messages', '/anthropic', ['openai.chat.json', 'gemini.generateContent.json'], { openai: 'openai/gpt-4o', gemini: 'gemini/gemini-2.5-flash' }],
  ['openai', '/responses', '/openai', ['anthropic.messages.json', 'gemini.generateContent.json'], { anthropic: 'anthropic/claude-sonnet-4-5', gemini: 'gemini/gemini-2.5-flash' }],
  ['openai', '/chat/completions', '/openai', ['anthropic.messages.json', 'gemini.generateContent.json'], { anthropic: 'anthropic/claude-sonnet-4-5', gemini: 'gemini/gemini-2.5-flash' }],
]) {
  test(`answers of ${callerPath} are what ${judge}'s specification says`, { skip, timeout: 200_000 }, async () => {
    let next;
    const replay = await startReplay(() => next);
    after(() => replay.stop());
    const gateway = await startBareGateway(allAt(replay.url));
    const port = await freePort();
    const prism = spawn(process.execPath, [path.join(root, 'node_modules/@stoplight/prism-cli/dist/index.js'), 'proxy', specs[judge], gateway + base, '--errors', '-h', '127.0.0.1', '-p', String(port)], { detached: true });
    children.push(prism);
    await new Promise((resolve, reject) => {
      prism.stdout.on('data', (data) => { if (String(data).includes('Prism is listening')) resolve(); });
      prism.once('exit', (code) => reject(new Error(`prism ended with ${code}`)));
    });
    let judged = 0;
    const complaints = [];
    for (const file of files) {
      const from = file.split('.')[0];
      // Every seventh: prism takes its time over each.
      for (const { id, response } of corpus(file).filter(({ status, response }) => status === 200 && typeof response === 'object' && !response.error).filter((_, i) => i % 7 === 0)) {
        next = { body: JSON.stringify(response) };
        const body = callerPath === '/responses' ? { model: model[from], input: hello, store: false } : { model: model[from], messages: hello, max_tokens: 100 };
        const reply = await post(`http://127.0.0.1:${port}${callerPath}`, body, { authorization: 'Bearer dummy-key', 'x-api-key': 'dummy-key', 'anthropic-version': '2023-06-01' });
        const text = await reply.text();
        judged++;
        if (reply.status !== 200) complaints.push(`${file} ${id}: ${text.slice(0, 500)}`);
      }
    }
    console.log(`${judge}: ${judged} answers judged, ${complaints.length} complaints`);
    assert.ok(judged > 50);
    assert.deepEqual(complaints.slice(0, 5), []);
  });
}

before(() => skip && console.log(`SKIPPED: ${skip}`));
