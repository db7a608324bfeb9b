// The Vercel AI SDK, unmodified: text, tools and objects, plain and streamed, in each of the APIs that it speaks here.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, Output, stepCountIs, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';
import { startDemoProvider } from '../upstream/demo_provider.mjs';
import { startReplay } from '../upstream/replay_server.mjs';
import { answerOf } from '../upstream/scripted_model.mjs';
import { allAt, startGateway } from './gateway.mjs';

// It warns of every model whose name it does not know.
globalThis.AI_SDK_LOG_WARNINGS = false;

const models = ['openai/gpt-4o-mini', 'anthropic/claude-sonnet-4-5', 'gemini/gemini-2.5-flash', 'ollama/demo-model'];
const openai = () => createOpenAI({ baseURL: `${gateway}/openai/v1`, apiKey: 'dummy-key' });
const apis = {
  Responses: (model) => openai()(model),
  'chat completions': (model) => openai().chat(model),
  Messages: (model) => createAnthropic({ baseURL: `${gateway}/anthropic/v1`, apiKey: 'dummy-key' })(model),
};
const weather = tool({ description: 'The weather in a city', inputSchema: z.object({ city: z.string() }), execute: ({ city }) => `sunny in ${city}` });
const schema = z.object({ city: z.string(), days: z.array(z.object({ high: z.number(), rain: z.boolean() })) });
const example = { city: 'Lisbon', days: [{ high: 1, rain: true }] };

let gateway, demo, replay;
before(async () => {
  demo = await startDemoProvider({ tokensPerSecond: 5000 });
  replay = await startReplay(answer);
  // The demo provider reads no schemas in the dialects of the others.
  gateway = await startGateway({ ...allAt(replay.url), OLLAMA_BASE_URL: demo.url });
});
after(() => { demo.stop(); replay.stop(); });

/** A model that thinks before it calls the tool, and says JSON where a schema is asked for. */
function answer(request) {
  const asked = request.body.toString();
  if (asked.includes('sunny in Lisbon')) return answerOf(request, { thought: 'Now I know.', signature: 'c2lnbmF0dXJlLTI=', text: 'It is sunny in Lisbon.' });
  if (asked.includes('"name":"weather"')) {
    return answerOf(request, { thought: 'I have to look.', signature: 'c2lnbmF0dXJlLTE=', text: 'I will look.', call: { name: 'weather', args: { city: 'Lisbon' } } });
  }
  // In Messages the SDK asks models that it does not know for an object by a tool of this name.
  if (asked.includes('"name":"json"')) return answerOf(request, { call: { name: 'json', args: example } });
  if (asked.includes('"rain"')) return answerOf(request, { text: JSON.stringify(example) });
  return answerOf(request, { text: asked.includes('How are you?') ? 'Hello! I heard: "How are you?"' : 'Nice to meet you.' });
}

/** What the provider was last asked. */
const lastAsked = (model) => model.startsWith('ollama') ? demo.getRequests().at(-1).body : replay.last().json();

/** What `streamText` came to, once it is read to its end. */
async function streamed(options) {
  let failure;
  const result = streamText({ ...options, onError: ({ error }) => { failure ??= error; } });
  const pieces = await Array.fromAsync(result.textStream);
  if (failure) throw failure;
  const whole = { pieces };
  for (const name of ['text', 'steps', 'usage', 'finishReason', 'providerMetadata', 'responseMessages']) whole[name] = await result[name];
  return whole;
}
const ways = { plain: generateText, streamed };

for (const [api, languageModel] of Object.entries(apis)) {
  for (const model of models) {
    for (const [way, run] of Object.entries(ways)) {
      test(`${api}: ${model} says something, ${way}`, async () => {
        const { text, usage, finishReason, pieces } = await run({ model: languageModel(model), instructions: 'Be brief.', prompt: 'How are you?', maxRetries: 0 });
        assert.match(text, /Hello.*"How are you\?"/);
        assert.match(JSON.stringify(lastAsked(model)), /Be brief\./);
        assert.equal(finishReason, 'stop');
        assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
        if (pieces) assert.ok(pieces.length > 1, 'it came in pieces');
      });

      test(`${api}: ${model} calls a tool and is told its result, ${way}`, async () => {
        const { text, steps } = await run({ model: languageModel(model), tools: { weather }, stopWhen: stepCountIs(3), prompt: 'How is the weather?', maxRetries: 0 });
        assert.deepEqual(steps.map((step) => step.finishReason), ['tool-calls', 'stop']);
        assert.deepEqual(steps[0].toolCalls.map(({ toolName, input }) => [toolName, input]), [['weather', { city: 'Lisbon' }]]);
        assert.match(text, /sunny in Lisbon/);
      });
    }

    test(`${api}: ${model} makes an object, plain`, async () => {
      const { output } = await generateText({ model: languageModel(model), prompt: 'Which city?', output: Output.object({ schema }), maxRetries: 0 });
      assert.deepEqual(output, example);
    });

    test(`${api}: ${model} makes an object, streamed`, async () => {
      let failure;
      const result = streamObject({ model: languageModel(model), prompt: 'Which city?', schema, maxRetries: 0, onError: ({ error }) => { failure ??= error; } });
      const partial = await Array.fromAsync(result.partialObjectStream);
      assert.ifError(failure);
      assert.deepEqual([await result.object, partial.at(-1)], [example, example]);
    });
  }
}

for (const model of models) {
  for (const [way, run] of Object.entries(ways)) {
    test(`Responses: ${model} knows the turn before by previousResponseId, ${way}`, async () => {
      const first = await run({ model: apis.Responses(model), prompt: 'I am Inês.', maxRetries: 0 });
      const previousResponseId = first.providerMetadata.openai.responseId;
      const second = await run({ model: apis.Responses(model), prompt: 'How are you?', providerOptions: { openai: { previousResponseId } }, maxRetries: 0 });
      assert.match(second.text, /"How are you\?"/);
      const asked = lastAsked(model);
      // OpenAI keeps its responses itself.
      if (model.startsWith('openai')) return assert.equal(asked.previous_response_id, previousResponseId);
      const turns = asked.contents ?? asked.messages;
      assert.equal(turns.length, 3);
      assert.match(JSON.stringify(turns[0]), /I am Inês\./);
      assert.ok(JSON.stringify(turns[1]).includes(JSON.stringify(first.text).slice(1, -1)));
    });
  }
}

/** The model's own turns as the provider has to see them again; a call of Gemini's has the identifier that the caller used. */
const remembered = {
  'anthropic/claude-sonnet-4-5': () => [
    [
      { type: 'thinking', thinking: 'I have to look.', signature: 'c2lnbmF0dXJlLTE=' },
      { type: 'text', text: 'I will look.' },
      { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Lisbon' } },
    ],
    [{ type: 'thinking', thinking: 'Now I know.', signature: 'c2lnbmF0dXJlLTI=' }, { type: 'text', text: 'It is sunny in Lisbon.' }],
  ],
  'gemini/gemini-2.5-flash': (id) => [
    [{ text: 'I will look.' }, { functionCall: { id, name: 'weather', args: { city: 'Lisbon' } }, thoughtSignature: 'c2lnbmF0dXJlLTE=' }],
    [{ text: 'It is sunny in Lisbon.', thoughtSignature: 'c2lnbmF0dXJlLTI=' }],
  ],
};

for (const [model, turns] of Object.entries(remembered)) {
  for (const [way, run] of Object.entries(ways)) {
    test(`Responses: ${model} gets back what it thought and said, which the SDK only refers to, ${way}`, async () => {
      const sent = [];
      const recording = (url, options) => { sent.push(JSON.parse(options.body).input); return fetch(url, options); };
      const ask = (messages) => run({
        model: createOpenAI({ baseURL: `${gateway}/openai/v1`, apiKey: 'dummy-key', fetch: recording })(model),
        tools: { weather }, stopWhen: stepCountIs(3), maxRetries: 0, messages,
        providerOptions: { openai: { forceReasoning: true, reasoningEffort: 'low', reasoningSummary: 'auto' } },
      });
      const question = { role: 'user', content: 'How is the weather?' };
      const first = await ask([question]);
      assert.deepEqual(first.steps.map((step) => step.reasoningText), ['I have to look.', 'Now I know.']);
      const second = await ask([question, ...first.responseMessages, { role: 'user', content: 'Really?' }]);
      assert.equal(second.text, 'It is sunny in Lisbon.');

      const references = sent.at(-1).filter((item) => item.type === 'item_reference').map(({ id }) => id);
      assert.ok(references.some((id) => id.startsWith('rs_')) && references.filter((id) => id.startsWith('msg_')).length === 2, `${references}`);
      const { messages, contents } = replay.last().json();
      const own = (messages ?? contents).filter(({ role }) => role !== 'user').map(({ content, parts }) => content ?? parts);
      assert.deepEqual(own, turns(first.steps[0].toolCalls[0].toolCallId));
    });
  }
}
