// Sends records on: together, so that a busy isolate does not pay for a message each. See docs/logs.md.

/** How long a record waits for others, and the most bytes that go together: a message has 128,000 at most. */
const WINDOW_MS = 200, TOGETHER = 120_000;

/** What waits; it is not wasm's, so that it outlives a panic there. */
let lines = [], size = 0, spans = [], isAwaited = false;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Takes a record of so many bytes, and its span if there is one. Returns a promise when there is something to wait for that nobody waits for yet. */
export function gather(queue, line, length, span, endpoint, headers) {
  let full;
  if (queue) {
    const bytes = length + 1;
    if (size + bytes > TOGETHER && lines.length) full = send(queue);
    lines.push(line);
    size += bytes;
  }
  if (span) spans.push({ span, endpoint, headers });
  const later = window_(queue);
  return full ? Promise.all([full, later]) : later;
}

function window_(queue) {
  if (isAwaited || !(lines.length || spans.length)) return undefined;
  isAwaited = true;
  return pause(WINDOW_MS).then(() => { isAwaited = false; return send(queue); });
}

async function send(queue) {
  const [records, traced] = [lines, spans];
  [lines, size, spans] = [[], 0, []];
  await Promise.all([records.length && enqueue(queue, records), traced.length && trace(traced)]);
}

async function enqueue(queue, records) {
  const body = `[${records.join(',')}]`;
  const options = { contentType: 'text' };
  try {
    await queue.send(body, options).catch(() => pause(WINDOW_MS).then(() => queue.send(body, options)));
  } catch (error) {
    // The console has each record's line already; this says which did not get into the table.
    console.error(`the queue of records refuses (${error.message}); not in the table: [${records.map((record) => JSON.parse(record).id).join(', ')}]`);
    for (const record of records) console.log(record);
  }
}

/** One request for all spans, as OTLP wants it. */
async function trace(traced) {
  const [{ endpoint, headers }] = traced;
  const resource = '{"attributes":[{"key":"service.name","value":{"stringValue":"finops-gateway"}}]}';
  const body = `{"resourceSpans":[{"resource":${resource},"scopeSpans":[{"scope":{"name":"finops-gateway"},"spans":[${traced.map(({ span }) => span).join(',')}]}]}]}`;
  try {
    const reply = await fetch(endpoint, { method: 'POST', headers: [...headers, ['content-type', 'application/json']], body, redirect: 'manual', signal: AbortSignal.timeout(10_000) });
    await reply.body?.cancel();
    if (!reply.ok) throw new Error(`it answers ${reply.status}`);
  } catch (error) {
    console.warn(`OTLP_ENDPOINT: ${traced.length} spans are lost: ${error.message}`);
  }
}
