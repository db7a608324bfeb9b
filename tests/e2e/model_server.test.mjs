// A real model server (llama.cpp's, with a tiny random model made on the spot) as the ollama provider.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { root, startBareGateway } from './gateway.mjs';

let server, gateway;
before(async () => {
  server = spawn(path.join(root, '.tools/venv/bin/python'), [path.join(root, 'tests/upstream/model_server.py'), '--model', path.join(root, '.tools/tiny.gguf')], { stdio: ['ignore', 'pipe', 'ignore'] });
  const port = await new Promise((resolve, reject) => {
    // The line may come in pieces.
    let said = '';
    server.stdout.on('data', (data) => {
      said += data;
      const port = /listening (\d+)\n/.exec(said)?.[1];
      if (port) resolve(port);
    });
    server.once('exit', (code) => reject(new Error(`the model server ended with ${code}`)));
  });
  gateway = await startBareGateway({ ALLOW_LOCAL_UPSTREAM: 'true', OLLAMA_BASE_URL: `http://127.0.0.1:${port}` });
});
after(() => server.kill('SIGTERM'));

const model = 'ollama/tiny-random', messages = [{ role: 'user', content: 'Tell me of the river.' }];

test('chat completions stream from a real model, with usage', async () => {
  const openai = new OpenAI({ baseURL: `${gateway}/openai`, apiKey: 'dummy-key', maxRetries: 0 });
  let text = '', usage;
  // The newer name of the limit must reach a server that reads the older one only.
  for await (const chunk of await openai.chat.completions.create({ model, messages, seed: 7, max_completion_tokens: 24, stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta?.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.ok(text.length > 0);
  assert.equal(usage.completion_tokens, 24);
});

test('Messages stream from a real model, translated', async () => {
  const anthropic = new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: 'dummy-key', maxRetries: 0 });
  const stream = anthropic.messages.stream({ model, messages, system: 'Be brief.', max_tokens: 24, temperature: 0.5 });
  let text = '';
  stream.on('text', (delta) => { text += delta; });
  const message = await stream.finalMessage();
  assert.ok(text.length > 0);
  assert.equal(message.content[0].text, text);
  assert.ok(['max_tokens', 'end_turn'].includes(message.stop_reason));
  assert.ok(message.usage.input_tokens + message.usage.cache_read_input_tokens > 0 && message.usage.output_tokens > 0);
  const plain = await anthropic.messages.create({ model, messages, max_tokens: 12 });
  assert.ok(plain.content[0].text.length > 0);
});

test('the model server\'s own refusal reaches the caller in the caller\'s dialect', async () => {
  const anthropic = new Anthropic({ baseURL: `${gateway}/anthropic`, apiKey: 'dummy-key', maxRetries: 0 });
  const long = [{ role: 'user', content: 'river '.repeat(4000) }];
  await assert.rejects(anthropic.messages.create({ model, messages: long, max_tokens: 5 }), (error) => {
    assert.equal(error.status, 400);
    assert.equal(error.error.error.type, 'invalid_request_error');
    return true;
  });
});
