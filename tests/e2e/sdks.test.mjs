// Unmodified SDKs against the worker: the seeds' samples as written, and each provider behind each SDK.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { startDemoProvider } from '../upstream/demo_provider.mjs';
import { allAt, hello, root, shared, startGateway } from './gateway.mjs';
import { samples } from './seed_samples.mjs';

const run = promisify(execFile);
const python = path.join(root, '.tools/venv/bin/python');
const seeds = path.join(shared, 'seeds');
const models = ['openai/gpt-4o-mini', 'anthropic/claude-sonnet-4-5', 'gemini/gemini-2.5-flash', 'vertex/gemini-2.5-pro', 'azure/gpt-4o', 'ollama/llama3.1:8b'];

let gateway, demo, folder;
before(async () => {
  demo = await startDemoProvider({ tokensPerSecond: 5000 });
  // The virtual key of the samples.
  gateway = await startGateway(allAt(demo.url), ['vk_12345']);
  // In the project's folder, so that the samples find the packages.
  folder = mkdtempSync(path.join(root, '.tools/samples-'));
});
after(() => { demo.stop(); rmSync(folder, { recursive: true, force: true }); });

test('the Python packages reach every provider, plain, streamed and with tools', async () => {
  const { stdout } = await run(python, [path.join(root, 'tests/e2e/sdk_calls.py'), gateway], { timeout: 120_000 });
  assert.match(stdout, /8 models behind both SDKs/);
});

test('the JavaScript packages reach every provider, plain and streamed', async () => {
  const openai = new OpenAI({ baseURL: `${gateway}/openai`, apiKey: 'dummy-key', maxRetries: 0 });
  const anthropic = new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: 'dummy-key', maxRetries: 0 });
  for (const model of models) {
    const plain = await openai.chat.completions.create({ model, messages: hello });
    assert.match(plain.choices[0].message.content, /Hello!/);
    const streamed = await openai.chat.completions.stream({ model, messages: hello }).finalChatCompletion();
    assert.match(streamed.choices[0].message.content, /Hello!/);
    const message = await anthropic.messages.create({ model, messages: hello, max_tokens: 200 });
    assert.match(message.content[0].text, /Hello!/);
    assert.match(await anthropic.messages.stream({ model, messages: hello, max_tokens: 200 }).finalText(), /Hello!/);
  }
  await assert.rejects(openai.chat.completions.create({ model: 'gemini/gemini-2.5-flash', messages: [] }), OpenAI.BadRequestError);
  await assert.rejects(anthropic.messages.create({ model: 'openai/gpt-4o', messages: [{ role: 'robot', content: 'x' }], max_tokens: 1 }), Anthropic.BadRequestError);
});

test('a JSON schema comes back as the SDK\'s parsed object', async () => {
  const openai = new OpenAI({ baseURL: `${gateway}/openai`, apiKey: 'dummy-key', maxRetries: 0 });
  const response_format = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false } } };
  for (const model of ['openai/gpt-4o-mini', 'ollama/llama3.1:8b']) {
    const reply = await openai.chat.completions.parse({ model, messages: hello, response_format });
    assert.equal(typeof JSON.parse(reply.choices[0].message.content).city, 'string');
  }
});

const sections = ['Setup', 'Provider/Model Usage Examples', 'Adding Custom Headers'];
// Those of asynchronous inference take an answer that is there at once, too; passthrough has samples of its own.
const isResponses = ({ seed, code }) => seed !== '003' && code.includes('responses.create');
test('every sample of the seeds runs as written', { skip: !existsSync(seeds) && 'no ../shared/seeds' }, async (t) => {
  const wanted = samples(seeds, gateway, ['000', '001', '002']).filter((sample) => sections.includes(sample.section) || isResponses(sample));
  assert.equal(wanted.length, 18);
  for (const { seed, index, language, title, code } of wanted) {
    await t.test(`${seed} sample ${index}, ${title} (${language})`, async () => {
      const file = path.join(folder, `${seed}-${index}.${language === 'python' ? 'py' : 'mjs'}`);
      writeFileSync(file, code);
      const asked = demo.getRequests().length;
      const { stdout } = await run(language === 'python' ? python : process.execPath, [file], { timeout: 60_000 });
      if (code.includes('print') || code.includes('console.log')) assert.match(stdout, /Hello/);
      assert.ok(demo.getRequests().length > asked, 'the provider was asked');
    });
  }
});
