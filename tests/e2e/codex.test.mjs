// OpenAI's Codex runs headless, tool-using turns through /openai/v1/responses on models of other dialects.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startReplay } from '../upstream/replay_server.mjs';
import { answerOf } from '../upstream/scripted_model.mjs';
import { allAt, root, startBareGateway } from './gateway.mjs';

const run = promisify(execFile);
const word = 'the secret word is heron';
const patch = '*** Begin Patch\n*** Add File: greeting.txt\n+Hello, heron!\n*** End Patch\n';
let replay, folder;

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'codex-'));
  for (const name of ['home', 'codex', 'work']) mkdirSync(path.join(folder, name));
  writeFileSync(path.join(folder, 'work/token.txt'), `${word}\n`);
  replay = await startReplay(answer);
  const gateway = await startBareGateway(allAt(replay.url));
  writeFileSync(path.join(folder, 'codex/config.toml'), config(`${gateway}/openai/v1`));
});
after(() => { replay.stop(); rmSync(folder, { recursive: true, force: true }); });

/** Left to itself, Codex also asks elsewhere for updates, plugins and models, and sends statistics. */
const config = (url) => `
model_provider = "gateway"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
web_search = "disabled"
features = { apps = false, plugins = false, remote_plugin = false, enable_request_compression = false, goals = false, api_key_model_discovery = false }
agents.enabled = false
analytics.enabled = false
feedback.enabled = false
otel = { exporter = "none", trace_exporter = "none", metrics_exporter = "none" }
history.persistence = "none"
skills.bundled.enabled = false

[model_providers.gateway]
name = "gateway"
base_url = "${url}"
env_key = "GATEWAY_KEY"
wire_api = "responses"
requires_openai_auth = false
supports_websockets = false
request_max_retries = 0
stream_max_retries = 0
`;

/** A model that calls the tool that the prompt names, and then tells what it got. */
function answer(request) {
  const asked = request.body.toString();
  const got = asked.match(/the secret word is \w+|Updated the following files/)?.[0];
  if (/"(tool_result|functionResponse)"/.test(asked)) return answerOf(request, { text: `I got: ${got}` });
  const call = asked.includes('Write greeting.txt') ? { name: 'apply_patch', args: { input: patch } } : { name: 'exec_command', args: { cmd: 'cat token.txt' } };
  return answerOf(request, { thought: 'A tool will do it.', signature: 'c2lnbmF0dXJl', text: 'One moment.', call });
}

/** What Codex says in the end; it throws unless Codex ends with 0. Its input is closed, or it would wait for more prompt. */
async function codex(model, prompt) {
  replay.requests.length = 0;
  const env = { PATH: process.env.PATH, HOME: path.join(folder, 'home'), CODEX_HOME: path.join(folder, 'codex'), GATEWAY_KEY: 'dummy-key', TERM: 'dumb' };
  const promise = run(path.join(root, 'node_modules/.bin/codex'),
    ['exec', '--model', model, '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '--ephemeral', '--strict-config', '--color', 'never', prompt],
    { cwd: path.join(folder, 'work'), env, timeout: 100_000 });
  promise.child.stdin.end();
  const { stdout } = await promise;
  assert.equal(replay.requests.length, 2, 'one call that asks for the tool, one with its result');
  return stdout;
}

/** The tool's call and result, and the signature of the thought before, in what the provider was asked last. */
function told() {
  const { messages, contents } = replay.last().json();
  const parts = (messages ?? contents).flatMap((message) => message.content ?? message.parts);
  const [call, result] = ['tool_use', 'tool_result'].map((type) => parts.find((part) => part.type === type));
  if (messages) {
    const { signature } = parts.find((part) => part.type === 'thinking');
    return { id: call.id, name: call.name, args: call.input, resultOf: result.tool_use_id, result: result.content, signature };
  }
  const { functionCall, thoughtSignature } = parts.find((part) => part.functionCall);
  const { functionResponse } = parts.find((part) => part.functionResponse);
  return { ...functionCall, resultOf: functionResponse.id, result: functionResponse.response.output, signature: thoughtSignature };
}

for (const model of ['anthropic/claude-sonnet-4-5', 'gemini/gemini-3-pro-preview']) {
  test(`Codex reads a file on ${model}`, { timeout: 120_000 }, async () => {
    assert.equal(await codex(model, 'Read token.txt and tell me the secret word'), `I got: ${word}\n`);
    const { id, name, args, resultOf, result, signature } = told();
    assert.deepEqual([name, args], ['exec_command', { cmd: 'cat token.txt' }]);
    assert.equal(resultOf, id);
    assert.match(result, new RegExp(word));
    assert.equal(signature, 'c2lnbmF0dXJl', 'what was thought came back with its signature');
  });
}

// By this model's name Codex offers apply_patch, whose input is plain text under a grammar.
for (const model of ['anthropic/gpt-5.5', 'gemini/gpt-5.5']) {
  test(`Codex's free-form tool writes a file on ${model}`, { timeout: 120_000 }, async () => {
    const file = path.join(folder, 'work/greeting.txt');
    rmSync(file, { force: true });
    assert.match(await codex(model, 'Write greeting.txt'), /^I got: Updated/);
    assert.equal(readFileSync(file, 'utf8'), 'Hello, heron!\n');
    assert.match(replay.requests[0].body.toString(), /must follow this lark grammar/);
    const { id, name, args, resultOf, result } = told();
    assert.deepEqual([name, args], ['apply_patch', { input: patch }]);
    assert.equal(resultOf, id);
    assert.match(result, /A greeting.txt/);
  });
}
