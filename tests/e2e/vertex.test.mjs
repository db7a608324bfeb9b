// Vertex with a service account: a claim signed by WebCrypto, exchanged once for a token that is kept.
import assert from 'node:assert/strict';
import { createVerify, generateKeyPairSync } from 'node:crypto';
import { after, before, test } from 'node:test';
import { startReplay } from '../upstream/replay_server.mjs';
import { hello, post, startGateway } from './gateway.mjs';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
let gateway, replay, tokenStatus = 200;
before(async () => {
  replay = await startReplay((request) => request.url === '/token'
    ? { status: tokenStatus, body: JSON.stringify(tokenStatus === 200 ? { access_token: 'ya29.token', expires_in: 3599, token_type: 'Bearer' } : { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }) }
    : { body: JSON.stringify({ candidates: [{ content: { role: 'model', parts: [{ text: 'Hello!' }] }, finishReason: 'STOP' }], usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 } }) });
  const account = { type: 'service_account', project_id: 'from-the-file', private_key_id: 'key-1', private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }), client_email: 'gateway@project.iam.gserviceaccount.com', token_uri: `${replay.url}/token` };
  gateway = await startGateway({ ALLOW_LOCAL_UPSTREAM: 'true', VERTEX_BASE_URL: replay.url, GOOGLE_SERVICE_ACCOUNT: JSON.stringify(account), GOOGLE_CLOUD_LOCATION: 'europe-west4' });
});
after(() => replay.stop());

const ask = () => post(`${gateway}/openai/v1/chat/completions`, { model: 'vertex/gemini-2.5-flash', messages: hello });

test('a refused account is a 502 that tells nothing of the key', async () => {
  tokenStatus = 400;
  const reply = await ask();
  const text = await reply.text();
  assert.equal(reply.status, 502);
  assert.ok(!text.includes('PRIVATE') && !text.includes('ya29'), text);
  tokenStatus = 200;
});

test('the claim is signed, and one token serves many requests', async () => {
  replay.requests.length = 0;
  for (let i = 0; i < 3; i++) assert.equal((await (await ask()).json()).choices[0].message.content, 'Hello!');
  const exchanges = replay.requests.filter(({ url }) => url === '/token');
  assert.equal(exchanges.length, 1);
  const form = new URLSearchParams(exchanges[0].body.toString());
  assert.equal(form.get('grant_type'), 'urn:ietf:params:oauth:grant-type:jwt-bearer');
  const [head, claims, signature] = form.get('assertion').split('.');
  assert.ok(createVerify('RSA-SHA256').update(`${head}.${claims}`).verify(publicKey, signature, 'base64url'));
  const read = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
  assert.deepEqual(read(head), { alg: 'RS256', typ: 'JWT', kid: 'key-1' });
  const { iss, aud, iat, exp, scope } = read(claims);
  assert.deepEqual([iss, aud, exp - iat, scope], ['gateway@project.iam.gserviceaccount.com', `${replay.url}/token`, 3600, 'https://www.googleapis.com/auth/cloud-platform']);
  const call = replay.last();
  assert.equal(call.headers.authorization, 'Bearer ya29.token');
  assert.equal(call.url, '/v1/projects/from-the-file/locations/europe-west4/publishers/google/models/gemini-2.5-flash:generateContent');
});

test('a native request gets the token and the configured project and location, or the caller\'s own token where that is allowed', async () => {
  const native = '/genai_passthrough/v1/projects/theirs/locations/us-east1/publishers/google/models/gemini-2.5-flash:generateContent';
  await post(gateway + native, {}, { authorization: 'Bearer ya29.theirs' });
  assert.deepEqual([replay.last().url, replay.last().headers.authorization],
    ['/v1/projects/from-the-file/locations/europe-west4/publishers/google/models/gemini-2.5-flash:generateContent', 'Bearer ya29.token']);
  const direct = await startGateway({ ALLOW_LOCAL_UPSTREAM: 'true', ALLOW_DIRECT_KEYS: 'true', VERTEX_BASE_URL: replay.url, VERTEX_API_KEY: 'gateway-vertex' });
  await post(direct + native, {}, { authorization: 'Bearer ya29.theirs' });
  assert.deepEqual([replay.last().headers.authorization, replay.last().headers['x-goog-api-key']], ['Bearer ya29.theirs', undefined]);
});
