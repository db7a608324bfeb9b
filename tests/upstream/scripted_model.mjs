// One turn of a model in the dialect that a request asks for: for tests of callers that care what is said, not how.

/**
 * The answer of `replay_server` that says `turn`: `{ thought, signature, text, call: { name, args } }`, each if given, in that
 * order. Thoughts are told where the dialect has them: Anthropic signs the thought, Gemini what comes last.
 */
export function answerOf(request, turn) {
  const body = request.json();
  if (/enerateContent/.test(request.url)) return gemini(turn, request.url.includes('streamGenerateContent'));
  const write = request.url.endsWith('/messages') ? anthropic : request.url.endsWith('/responses') ? responses : chat;
  return write(turn, body.stream === true);
}

const data = (value) => `data: ${JSON.stringify(value)}\n\n`;
const event = (value) => `event: ${value.type}\n${data(value)}`;
const whole = (value) => ({ body: JSON.stringify(value) });
const halves = (text) => [text.slice(0, text.length / 2), text.slice(text.length / 2)];

function anthropic({ thought, signature, text, call }, stream) {
  const content = [
    thought && { type: 'thinking', thinking: thought, signature },
    text && { type: 'text', text },
    call && { type: 'tool_use', id: 'toolu_1', name: call.name, input: call.args },
  ].filter(Boolean);
  const stop_reason = call ? 'tool_use' : 'end_turn';
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content, stop_reason, stop_sequence: null, usage: { input_tokens: 50, output_tokens: 10 } };
  if (!stream) return whole(message);
  const blocks = content.flatMap((block, index) => {
    const [empty, deltas] = {
      thinking: () => [{ thinking: '', signature: '' }, [...halves(thought).map((thinking) => ({ type: 'thinking_delta', thinking })), { type: 'signature_delta', signature }]],
      text: () => [{ text: '' }, halves(text).map((text) => ({ type: 'text_delta', text }))],
      tool_use: () => [{ input: {} }, halves(JSON.stringify(call.args)).map((partial_json) => ({ type: 'input_json_delta', partial_json }))],
    }[block.type]();
    return [
      event({ type: 'content_block_start', index, content_block: { ...block, ...empty } }),
      ...deltas.map((delta) => event({ type: 'content_block_delta', index, delta })),
      event({ type: 'content_block_stop', index }),
    ];
  });
  return { body: [
    event({ type: 'message_start', message: { ...message, content: [], stop_reason: null } }),
    ...blocks,
    event({ type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 10 } }),
    event({ type: 'message_stop' }),
  ] };
}

function gemini({ thought, signature, text, call }, stream) {
  const parts = [
    ...(thought ? [{ text: thought, thought: true }] : []),
    ...(text ? halves(text).map((text) => ({ text })) : []),
    ...(call ? [{ functionCall: { name: call.name, args: call.args } }] : []),
  ];
  if (signature) parts.at(-1).thoughtSignature = signature;
  const chunk = (parts, more) => ({ candidates: [{ content: { role: 'model', parts }, index: 0, ...more }], responseId: 'r1', modelVersion: 'm' });
  const end = { usageMetadata: { promptTokenCount: 50, candidatesTokenCount: 10, totalTokenCount: 60 } };
  if (!stream) return whole({ ...chunk(parts, { finishReason: 'STOP' }), ...end });
  return { body: parts.map((part, i) => data(i < parts.length - 1 ? chunk([part]) : { ...chunk([part], { finishReason: 'STOP' }), ...end })) };
}

function chat({ text, call }, stream) {
  const usage = { prompt_tokens: 50, completion_tokens: 10, total_tokens: 60 }, finish_reason = call ? 'tool_calls' : 'stop';
  const head = { id: 'chatcmpl-1', created: 1, model: 'm' };
  const called = (args, more) => ({ ...more, function: { ...(more && { name: call.name }), arguments: args } });
  const first = { id: 'call_1', type: 'function' };
  if (!stream) {
    const message = { role: 'assistant', content: text ?? null, refusal: null, ...(call && { tool_calls: [called(JSON.stringify(call.args), first)] }) };
    return whole({ ...head, object: 'chat.completion', choices: [{ index: 0, message, finish_reason, logprobs: null }], usage });
  }
  const chunk = (choices, more) => data({ ...head, object: 'chat.completion.chunk', choices, ...more });
  const delta = (delta, finish_reason = null) => chunk([{ index: 0, delta, finish_reason }]);
  return { body: [
    delta({ role: 'assistant', content: '' }),
    ...(text ? halves(text).map((content) => delta({ content })) : []),
    ...(call ? halves(JSON.stringify(call.args)).map((args, i) => delta({ tool_calls: [{ index: 0, ...called(args, i ? undefined : first) }] })) : []),
    delta({}, finish_reason),
    chunk([], { usage }),
    'data: [DONE]\n\n',
  ] };
}

function responses({ text, call }, stream) {
  const output = [
    text && { id: 'msg_1', type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text, annotations: [], logprobs: [] }] },
    call && { id: 'fc_1', type: 'function_call', status: 'completed', call_id: 'call_1', name: call.name, arguments: JSON.stringify(call.args) },
  ].filter(Boolean);
  const usage = { input_tokens: 50, input_tokens_details: { cached_tokens: 0 }, output_tokens: 10, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 60 };
  const response = { id: 'resp_1', object: 'response', created_at: 1, status: 'completed', error: null, incomplete_details: null, model: 'm', output, usage };
  if (!stream) return whole(response);
  const items = output.flatMap((item, output_index) => {
    const place = { item_id: item.id, output_index };
    const [empty, told] = item.type === 'message'
      ? [{ content: [] }, halves(text).map((delta) => ({ type: 'response.output_text.delta', ...place, content_index: 0, delta, logprobs: [] }))]
      : [{ arguments: '' }, halves(item.arguments).map((delta) => ({ type: 'response.function_call_arguments.delta', ...place, delta }))];
    return [{ type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress', ...empty } }, ...told, { type: 'response.output_item.done', output_index, item }];
  });
  const events = [{ type: 'response.created', response: { ...response, status: 'in_progress', output: [], usage: null } }, ...items, { type: 'response.completed', response }];
  return { body: events.map((value, sequence_number) => event({ ...value, sequence_number })) };
}
