// The provider stand-in. Run as a child process (so that it shares neither event loop nor heap with the load generator);
// tells its port over IPC and ends when its parent does.
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const DELTAS = 100;
const text = (i) => ` token${String(i).padStart(3, '0')}`;

const openaiChunk = (fields) => `data: ${JSON.stringify({
  id: 'chatcmpl-benchmark0000000000000000', object: 'chat.completion.chunk', created: 1764547200,
  model: 'gpt-4o-mini-2024-07-18', system_fingerprint: 'fp_bench', ...fields })}\n\n`;
const openaiDelta = (delta, finish_reason = null) =>
  openaiChunk({ choices: [{ index: 0, delta, logprobs: null, finish_reason }] });

// Exactly 100 flushes of some 200 bytes: deltas, finish, usage, [DONE].
export const OPENAI_STREAM = [
  ...Array.from({ length: DELTAS - 3 }, (_, i) => openaiDelta(i ? { content: text(i) } : { role: 'assistant', content: '' })),
  openaiDelta({}, 'stop'),
  openaiChunk({ choices: [], usage: { prompt_tokens: 250, completion_tokens: 96, total_tokens: 346 } }),
  'data: [DONE]\n\n',
];

const anthropicEvent = (data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;

// 100 text deltas inside the six events that every Messages stream has around them, hence 106 flushes.
export const ANTHROPIC_STREAM = [
  { type: 'message_start', message: { id: 'msg_bench', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5-20250929',
    content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 250, output_tokens: 1 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'ping' },
  ...Array.from({ length: DELTAS }, (_, i) =>
    ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: text(i).repeat(8) } })),
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 100 } },
  { type: 'message_stop' },
].map(anthropicEvent);

const COMPLETION = JSON.stringify({
  id: 'chatcmpl-benchmark0000000000000000', object: 'chat.completion', created: 1764547200, model: 'gpt-4o-mini-2024-07-18',
  choices: [{ index: 0, message: { role: 'assistant', content: 'lorem ipsum '.repeat(45).trim(), refusal: null, annotations: [] },
    logprobs: null, finish_reason: 'stop' }],
  usage: { prompt_tokens: 250, completion_tokens: 96, total_tokens: 346, prompt_tokens_details: { cached_tokens: 0 } },
  service_tier: 'default', system_fingerprint: 'fp_bench' });

// One write per turn of the event loop: node flushes each as an HTTP chunk of its own, as a model that yields tokens does.
function flushOneByOne(res, chunks, gapMs) {
  const next = gapMs > 0 ? (f) => setTimeout(f, gapMs) : setImmediate;
  let i = 0;
  const step = () => {
    if (res.destroyed) return;
    if (i === chunks.length) return res.end();
    res.write(chunks[i++]);
    next(step);
  };
  step();
}

function serve(gapMs) {
  const server = http.createServer({ noDelay: true, keepAliveTimeout: 600_000 }, async (req, res) => {
    let body = '';
    for await (const part of req) body += part;
    const { stream } = JSON.parse(body);
    const chat = req.url.endsWith('/chat/completions');
    if (chat && !stream) {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(COMPLETION) });
      return res.end(COMPLETION);
    }
    // It stands for the queue of records, too.
    if (req.url.endsWith('/message') || req.url.endsWith('/batch')) return res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    if (!chat && !(stream && req.url.endsWith('/messages'))) return res.writeHead(404).end(`no answer for ${req.url}`);
    res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
    flushOneByOne(res, chat ? OPENAI_STREAM : ANTHROPIC_STREAM, gapMs);
  });
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
  process.on('disconnect', () => process.exit());
}

// Imported by the harness for the chunk counts, executed as the child.
if (import.meta.url === pathToFileURL(process.argv[1]).href) serve(Number(process.argv[2] ?? 0));
