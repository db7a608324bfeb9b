// Claude Code runs a headless, tool-using turn through /anthropic on models of other dialects.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { startReplay } from '../upstream/replay_server.mjs';
import { allAt, root, startBareGateway } from './gateway.mjs';

const run = promisify(execFile);
const word = 'the secret word is heron';
let gateway, replay, folder;

before(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'agent-'));
  mkdirSync(path.join(folder, 'home'));
  mkdirSync(path.join(folder, 'work'));
  writeFileSync(path.join(folder, 'work/note.txt'), `${word}\n`);
  replay = await startReplay(answer);
  gateway = await startBareGateway(allAt(replay.url));
});
after(() => { replay.stop(); rmSync(folder, { recursive: true, force: true }); });

/** A model that reads the file when it has not yet, and then tells what it read. */
function answer(request) {
  const body = request.json(), text = JSON.stringify(body), file = path.join(folder, 'work/note.txt');
  const data = (value) => `data: ${JSON.stringify(value)}\n\n`;
  const read = text.includes(word);
  if (request.url.includes('streamGenerateContent')) {
    const parts = read ? [{ text: `It says: ${word}` }, { text: '', thoughtSignature: 'c2lnbmF0dXJlLTI=' }]
      : [{ text: 'I will read it.' }, { functionCall: { name: 'Read', args: { file_path: file } }, thoughtSignature: 'c2lnbmF0dXJlLTE=' }];
    const usageMetadata = { promptTokenCount: 50, candidatesTokenCount: 10, thoughtsTokenCount: 5, totalTokenCount: 65 };
    return { body: [...parts.map((part) => data({ candidates: [{ content: { role: 'model', parts: [part] }, index: 0 }] })), data({ candidates: [{ finishReason: 'STOP', index: 0 }], usageMetadata })] };
  }
  const chunk = (delta, finish_reason = null) => data({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, finish_reason }] });
  const call = { index: 0, id: 'call_1', type: 'function', function: { name: 'Read', arguments: '' } };
  const args = JSON.stringify({ file_path: file });
  return { body: [
    chunk({ role: 'assistant', content: '' }),
    ...(read ? [chunk({ content: `It says: ${word}` }), chunk({}, 'stop')]
      : [chunk({ tool_calls: [call] }), chunk({ tool_calls: [{ index: 0, function: { arguments: args.slice(0, 9) } }] }), chunk({ tool_calls: [{ index: 0, function: { arguments: args.slice(9) } }] }), chunk({}, 'tool_calls')]),
    data({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [], usage: { prompt_tokens: 50, completion_tokens: 10, total_tokens: 60 } }),
    'data: [DONE]\n\n',
  ] };
}

for (const model of ['openai/gpt-4o', 'gemini/gemini-3-pro-preview']) {
  test(`Claude Code reads a file on ${model}`, { timeout: 120_000 }, async () => {
    replay.requests.length = 0;
    const environment = { PATH: process.env.PATH, HOME: path.join(folder, 'home'), TERM: 'dumb', ANTHROPIC_BASE_URL: `${gateway}/anthropic`, ANTHROPIC_API_KEY: 'dummy-key', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1' };
    const child = run(path.join(root, 'node_modules/.bin/claude'),
      ['-p', 'Read note.txt and tell me the secret word', '--model', model, '--output-format', 'json', '--max-turns', '3', '--allowedTools', 'Read'],
      { cwd: path.join(folder, 'work'), env: environment, timeout: 100_000 });
    child.child.stdin.end();
    const { stdout } = await child;
    const result = JSON.parse(stdout.trim().split('\n').at(-1));
    assert.equal(result.is_error, false, stdout);
    assert.match(result.result, /heron/);
    assert.equal(replay.requests.length, 2, 'one call that asks for the tool, one with its result');
    const second = replay.last().json();
    if (model.startsWith('gemini')) {
      const parts = second.contents.flatMap((content) => content.parts);
      const call = parts.find((part) => part.functionCall);
      assert.equal(call.thoughtSignature, 'c2lnbmF0dXJlLTE=', 'the signature came back with its call');
      assert.equal(parts.find((part) => part.functionResponse).functionResponse.name, 'Read');
    } else {
      assert.equal(second.messages.find((message) => message.role === 'tool').tool_call_id, 'call_1');
    }
  });
}
