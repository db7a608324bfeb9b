// A provider that answers exactly what a test tells it to, byte for byte, keeps what it was asked, and fails on demand.
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Starts the server. `answer(request)` decides: `{ status, headers, body }`, where `body` is text, a Buffer or a list of
 * pieces that are flushed one by one; and, of faults, `{ cut: true }` (the connection breaks off after the pieces),
 * `{ stall: ms }` (silence after them), `{ delay: ms }` (silence before the head), `{ gap: ms }` (between pieces).
 */
export async function startReplay(answer) {
  const requests = [];
  const server = http.createServer(async (incoming, outgoing) => {
    const pieces = [];
    for await (const piece of incoming) pieces.push(piece);
    const request = { method: incoming.method, url: incoming.url, headers: incoming.headers, body: Buffer.concat(pieces), closed: false };
    request.json = () => JSON.parse(request.body.toString());
    requests.push(request);
    outgoing.on('close', () => { request.closed = true; request.finished = outgoing.writableFinished; });
    await play(await replay.answer(request), outgoing);
  });
  server.keepAliveTimeout = 1000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const replay = {
    url: `http://127.0.0.1:${server.address().port}`,
    requests,
    answer,
    last: () => requests.at(-1),
    stop: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }),
  };
  return replay;
}

async function play(answer, outgoing) {
  const { status = 200, headers = {}, body = '', cut, stall, delay, gap = 1 } = answer;
  if (delay) await sleep(delay);
  const pieces = Array.isArray(body) ? body : [body];
  outgoing.writeHead(status, { 'content-type': Array.isArray(body) ? 'text/event-stream' : 'application/json', ...headers });
  outgoing.flushHeaders();
  for (const piece of pieces) {
    if (outgoing.destroyed) return;
    if (piece.length) outgoing.write(piece);
    if (pieces.length > 1) await sleep(gap);
  }
  if (stall) await sleep(stall);
  if (cut) { await sleep(30); return outgoing.destroy(); }
  outgoing.end();
}

/** A stream's text in pieces of `size` bytes. */
export const inPieces = (text, size = 1) => {
  const bytes = Buffer.from(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
};

const data = (value) => `data: ${JSON.stringify(value)}\n\n`;
const event = (value) => `event: ${value.type}\n${data(value)}`;

/** Small whole streams in each dialect, written here. */
export const streams = {
  chat(words, { usage = { prompt_tokens: 9, completion_tokens: words.length, total_tokens: 9 + words.length }, done = true } = {}) {
    const chunk = (choices, more = {}) => data({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices, ...more });
    const delta = (delta, finish_reason = null) => chunk([{ index: 0, delta, finish_reason }]);
    return [delta({ role: 'assistant', content: '' }), ...words.map((content) => delta({ content })), ...(done ? [delta({}, 'stop'), chunk([], { usage }), 'data: [DONE]\n\n'] : [])];
  },
  anthropic(words, { done = true } = {}) {
    const start = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 9, output_tokens: 1 } };
    return [
      event({ type: 'message_start', message: start }),
      event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
      event({ type: 'ping' }),
      ...words.map((text) => event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
      ...(done ? [
        event({ type: 'content_block_stop', index: 0 }),
        event({ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: words.length } }),
        event({ type: 'message_stop' }),
      ] : []),
    ];
  },
  responses(words, { done = true } = {}) {
    let sequence_number = 0;
    const told = (type, more) => event({ type, sequence_number: sequence_number++, ...more });
    const response = (status, output = [], usage = null) => ({ id: 'resp_1', object: 'response', created_at: 1, status, error: null, incomplete_details: null, model: 'm', output, usage });
    const place = { item_id: 'msg_1', output_index: 0, content_index: 0 };
    const part = { type: 'output_text', text: words.join(''), annotations: [] };
    const item = { id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [part] };
    const usage = { input_tokens: 9, input_tokens_details: { cached_tokens: 0 }, output_tokens: words.length, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 9 + words.length };
    return [
      told('response.created', { response: response('in_progress') }),
      told('response.in_progress', { response: response('in_progress') }),
      told('response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', content: [] } }),
      told('response.content_part.added', { ...place, part: { ...part, text: '' } }),
      ...words.map((delta) => told('response.output_text.delta', { ...place, delta, logprobs: [] })),
      ...(done ? [
        told('response.output_text.done', { ...place, text: part.text, logprobs: [] }),
        told('response.content_part.done', { ...place, part }),
        told('response.output_item.done', { output_index: 0, item }),
        told('response.completed', { response: response('completed', [item], usage) }),
      ] : []),
    ];
  },
  gemini(words, { done = true } = {}) {
    const chunk = (text, more = {}) => data({ candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0, ...more }], responseId: 'r1', modelVersion: 'm' });
    const usageMetadata = { promptTokenCount: 9, candidatesTokenCount: words.length, totalTokenCount: 9 + words.length };
    return [...words.map((text) => chunk(text)), ...(done ? [data({ candidates: [{ finishReason: 'STOP', index: 0 }], usageMetadata, responseId: 'r1' })] : [])];
  },
};
