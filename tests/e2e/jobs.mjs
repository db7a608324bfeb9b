// What the tests of async jobs share: a provider that answers streams alone, submitting, polling.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { streams } from '../upstream/replay_server.mjs';
import { hello, post } from './gateway.mjs';

let here;
/** Which gateway is meant where none is named. */
export const use = (gateway) => { here = gateway; return gateway; };

const list = { object: 'list', data: [{ object: 'embedding', index: 0, embedding: [1, 2] }], model: 'text-embedding-3-small', usage: { prompt_tokens: 8, total_tokens: 8 } };
export const words = ['Once', ' upon', ' a', ' time'];
/** A provider that answers streams alone: who does not ask for one gets none. */
export const answer = (request) => {
  const body = request.json?.() ?? {};
  if (request.url.includes('/embeddings')) return { body: JSON.stringify(list) };
  if (request.url.includes('streamGenerateContent')) return { body: streams.gemini(words) };
  if (!body.stream) return { status: 400, body: JSON.stringify({ error: { message: 'this provider would be silent for too long' } }) };
  if (request.url.includes('/messages')) return { body: streams.anthropic(words) };
  return { body: request.url.includes('/responses') ? streams.responses(words) : streams.chat(words) };
};

export const ask = { model: 'openai/gpt-4o', messages: hello };
export const submit = (body = ask, headers = {}, at = here, path = '/openai/v1/chat/completions') => post(at.url + path, body, { 'x-bf-async': 'true', ...headers });
export const poll = (id, headers = {}, at = here, path = '/openai/v1/chat/completions') => post(at.url + path, 'this body is not looked at', { 'x-bf-async-id': id, ...headers });

/** The answer of a job that is done. */
export async function done(id, headers = {}, at = here, path = undefined) {
  for (let i = 0; ; i++) {
    const reply = await poll(id, headers, at, path);
    if (!['pending', 'processing'].includes(reply.headers.get('x-bf-async-status'))) return reply;
    assert.ok(i < 400, `${id} is ${reply.headers.get('x-bf-async-status')}`);
    await sleep(50);
  }
}

/** What stands in the database. */
export const rows = async (sql, ...values) => (await here.env.DB.prepare(sql).bind(...values).all()).results;
