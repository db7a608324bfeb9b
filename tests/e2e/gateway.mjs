// Starts the built worker on workerd, as wrangler would, with settings that point at servers of the test.
import { after } from 'node:test';
import path from 'node:path';
import { createTestHarness } from 'wrangler';

export const root = path.resolve(import.meta.dirname, '../..');
export const shared = path.resolve(root, '../shared');

/** Settings under which all six providers are the server at `at`. */
export const allAt = (at) => ({
  ALLOW_LOCAL_UPSTREAM: 'true',
  OPENAI_BASE_URL: `${at}/v1`, OPENAI_API_KEY: 'sk-gateway-openai',
  ANTHROPIC_BASE_URL: at, ANTHROPIC_API_KEY: 'sk-gateway-anthropic',
  GEMINI_BASE_URL: at, GEMINI_API_KEY: 'gateway-gemini',
  VERTEX_BASE_URL: at, VERTEX_API_KEY: 'gateway-vertex', GOOGLE_CLOUD_PROJECT: 'project-1',
  AZURE_OPENAI_ENDPOINT: at, AZURE_OPENAI_API_KEY: 'gateway-azure',
  OLLAMA_BASE_URL: at,
});

/** The gateway's address; it ends with the test file. */
export async function startGateway(vars) {
  const harness = createTestHarness({ workers: [{ configPath: path.join(root, 'wrangler.toml'), vars }] });
  after(() => harness.close());
  const { url } = await harness.listen();
  return String(url).replace(/\/$/, '');
}

/** Sends JSON, as no SDK of ours is in the way. */
export const post = (url, body, headers = {}) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });

export const hello = [{ role: 'user', content: 'Hello!' }];

/** The events of a stream: `{ event, data }`. */
export const eventsOf = (text) => text.split('\n\n').filter(Boolean).map((block) => {
  const line = (name) => block.split('\n').find((l) => l.startsWith(`${name}: `))?.slice(name.length + 2);
  return { event: line('event'), data: line('data') };
});
