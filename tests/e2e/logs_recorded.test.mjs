// Recorded answers of the vendors: the record of each in the database says the tokens that it says, in either lane.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { startReplay } from '../upstream/replay_server.mjs';
import { allAt, hello, post, promptly, shared, startWithBindings } from './gateway.mjs';

const TOKEN = 'owners-own-token';
const corpus = path.join(shared, 'corpus');
const skip = !existsSync(corpus) && 'no ../shared/corpus';
const EACH = 40;

let replay, gateway, priced = 0;
before(async () => {
  if (skip) return;
  replay = await startReplay(() => ({}));
  gateway = await startWithBindings({ ...allAt(replay.url), ADMIN_TOKEN: TOKEN }, '', promptly);
});
after(() => replay?.stop());

/** Recorded answers of a file, some of all that tell tokens, as text. */
function answersOf(file) {
  const lines = gunzipSync(readFileSync(path.join(corpus, `${file}.jsonl.gz`))).toString().trim().split('\n').map((line) => JSON.parse(line));
  const text = ({ response }) => (typeof response !== 'string' ? JSON.stringify(response) : /^[A-Za-z0-9+/=\n]+$/.test(response) ? Buffer.from(response, 'base64').toString() : response);
  const telling = lines.filter(({ status }) => status === 200).map(text).filter((answer) => said(answer));
  return telling.filter((_, i) => i % Math.ceil(telling.length / EACH) === 0);
}

/** What an answer says that it took, read by rules of the vendors' pages alone: [all that was read, of that from caches, written to them, written]. */
function said(answer) {
  const objects = answer.trimStart().startsWith('{') ? [JSON.parse(answer)] : [...answer.matchAll(/^data: ?(\{.*)$/gm)].map(([, json]) => JSON.parse(json));
  let messages, found;
  for (const object of objects) {
    const inner = object.response ?? object.message ?? object;
    const google = inner.usageMetadata;
    if (google) found = [(google.promptTokenCount ?? 0) + (google.toolUsePromptTokenCount ?? 0), google.cachedContentTokenCount ?? 0, 0, (google.candidatesTokenCount ?? 0) + (google.thoughtsTokenCount ?? 0)];
    const usage = inner.usage;
    if (!usage) continue;
    if (usage.prompt_tokens !== undefined) found = [usage.prompt_tokens, usage.prompt_tokens_details?.cached_tokens ?? 0, 0, usage.completion_tokens ?? 0];
    else if (usage.total_tokens !== undefined) found = [usage.input_tokens, usage.input_tokens_details?.cached_tokens ?? 0, usage.input_tokens_details?.cache_write_tokens ?? 0, usage.output_tokens];
    else {
      messages = { ...messages, ...Object.fromEntries(Object.entries(usage).filter(([, value]) => value !== null)) };
      const [read, written] = [messages.cache_read_input_tokens ?? 0, messages.cache_creation_input_tokens ?? 0];
      found = [(messages.input_tokens ?? 0) + read + written, read, written, messages.output_tokens ?? 0];
    }
  }
  return found?.[0] + found?.[3] > 0 && found;
}

/** USD per million: read anew, from a cache, written. From the vendors' pages, November 2026. */
const PRICES = [[/^gpt-4o-mini(-2024-07-18)?$/, 0.15, 0.075, 0.6], [/^gpt-4o(-2024-08-06|-2024-11-20)?$/, 2.5, 1.25, 10], [/^claude-sonnet-4-5/, 3, 0.3, 15], [/^claude-haiku-4-5/, 1, 0.1, 5], [/^gemini-2\.5-flash$/, 0.3, 0.03, 2.5]];

const CASES = [
  // file, the provider's native path, and who else asks for it, with a model that leads there
  ['openai.chat', '/openai_passthrough/v1/chat/completions', 'messages', 'openai/gpt-4o-mini', 'chat'],
  ['anthropic.messages', '/anthropic_passthrough/v1/messages', 'chat', 'anthropic/claude-sonnet-4-5', 'messages'],
  ['openai.responses', '/openai_passthrough/v1/responses', 'messages', 'openai/gpt-5-mini', 'responses'],
  ['gemini.generateContent', '/genai_passthrough/v1beta/models/gemini-2.5-flash:generateContent', 'chat', 'gemini/gemini-2.5-flash'],
  ['gemini.streamGenerateContent', '/genai_passthrough/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse', 'chat', 'gemini/gemini-2.5-flash'],
];
const paths = { chat: '/openai/v1/chat/completions', messages: '/anthropic/v1/messages', responses: '/openai/v1/responses' };
const body = (caller, model, stream) => (caller === 'responses' ? { model, input: 'Hello!', store: false, stream } : { model, messages: hello, stream, ...(caller === 'messages' && { max_tokens: 99 }) });

for (const [name, native, foreign, model, own] of CASES) {
  for (const kind of ['json', 'sse']) {
    const file = `${name}.${kind}`;
    test(`${file}: the records say what the answers say`, { skip: skip || (!existsSync(path.join(corpus, `${file}.jsonl.gz`)) && 'not recorded') }, async () => {
      const stream = kind === 'sse';
      const answers = answersOf(file);
      assert.ok(answers.length >= 5);
      // The usage of a chat stream comes when asked for, and was.
      const asked = (caller) => ({ ...body(caller, model, stream), ...(caller === 'chat' && stream && { stream_options: { include_usage: true } }) });
      const ways = [['passthrough', native, body(own ?? 'chat', model.split('/')[1], stream)], ['hub', paths[foreign], asked(foreign)], ...(own ? [['identity', paths[own], asked(own)]] : [])];
      const sent = [];
      for (const answer of answers) {
        for (const [way, at, asks] of ways) {
          replay.answer = () => ({ body: answer, headers: { 'content-type': stream ? 'text/event-stream' : 'application/json' } });
          const parent = `${file} ${sent.length}`;
          await (await post(gateway.url + at, asks, { 'x-bf-parent-request-id': parent })).text();
          sent.push({ parent, way, expected: said(answer) });
        }
      }
      const admin = { authorization: `Bearer ${TOKEN}` };
      let logs = [];
      for (let i = 0; i < 150 && logs.length < sent.length; i++) {
        await sleep(200);
        logs = (await (await fetch(`${gateway.url}/api/logs?limit=1000`, { headers: admin })).json()).logs.filter(({ parent_id }) => parent_id?.startsWith(`${file} `));
      }
      assert.equal(logs.length, sent.length);
      for (const { parent, way, expected } of sent) {
        const log = logs.find(({ parent_id }) => parent_id === parent);
        const writes = log.cache_write_5m_tokens + log.cache_write_1h_tokens;
        const told = [log.input_tokens + log.cache_read_tokens + writes, log.cache_read_tokens, writes, log.output_tokens];
        assert.deepEqual([way, parent, ...told, log.estimated, log.stream], [way, parent, ...expected, false, stream]);
        const price = PRICES.find(([names]) => names.test(log.model));
        if (!price || writes || log.audio_input_tokens || expected[0] > 200_000) continue;
        priced++;
        const cost = ((expected[0] - expected[1]) * price[1] + expected[1] * price[2] + expected[3] * price[3]) / 1e6;
        assert.ok(Math.abs(log.cost_usd - cost) < 1e-11, `${log.model}: ${log.cost_usd} and not ${cost}`);
      }
    });
  }
}

test('enough of them had a price to compare', { skip }, () => assert.ok(priced > 150, `${priced} had`));
