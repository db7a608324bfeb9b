// Demo provider: aimock with friendly answers for every question. Usage: node demo_provider.mjs [port]
// Speaks OpenAI (chat, Responses, embeddings), Anthropic, Gemini, Vertex, Azure and Ollama on one loopback port. No keys needed.
import { LLMock } from "@copilotkit/aimock";

const MODELS = ["demo-model", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash"];

const textOf = (content) => (typeof content === "string" ? content : (content ?? []).map((part) => part?.text ?? "").join(""));
const tokens = (text) => Math.max(1, Math.ceil(text.length / 4));
const lastUserText = ({ messages }) => textOf(messages.findLast((m) => m.role === "user")?.content)
  .replace(/<system-reminder>[^]*?<\/system-reminder>/g, "").trim(); // Claude Code's own notes

/** A value that fits a JSON schema (enough of it for tool parameters and structured output). */
function example(schema, name = "value", depth = 0) {
  if (!schema || typeof schema !== "object" || depth > 6) return {};
  if ("const" in schema) return schema.const;
  if ("default" in schema) return schema.default;
  if (schema.enum?.length) return schema.enum[0];
  const variant = (schema.anyOf ?? schema.oneOf ?? schema.allOf)?.find((s) => s.type !== "null");
  if (variant) return example(variant, name, depth + 1);
  const type = String([schema.type ?? "object"].flat().find((t) => t !== "null")).toLowerCase(); // Gemini writes "STRING"
  if (type === "string") return name === "city" || name === "location" ? "Lisbon" : `demo ${name}`;
  if (type === "integer" || type === "number") return schema.minimum ?? 1;
  if (type === "boolean") return true;
  if (type === "array") return [example(schema.items, name, depth + 1)];
  const required = schema.required ?? [];
  return Object.fromEntries(required.map((key) => [key, example(schema.properties?.[key], key, depth + 1)]));
}

/** Token counts in all three dialects: aimock answers zeros unless told. */
function withUsage(request, response, output) {
  const input = tokens(JSON.stringify(request.messages)), out = tokens(output);
  return { ...response, usage: {
    prompt_tokens: input, completion_tokens: out, total_tokens: input + out,
    input_tokens: input, output_tokens: out,
    promptTokenCount: input, candidatesTokenCount: out, totalTokenCount: input + out } };
}

const say = (request, content) => withUsage(request, { content }, content);

/** The tool to call: the forced one, one that the user names, or the first of a few. An agent with a whole tool box gets text. */
function chosenTool(request) {
  const { tools = [], tool_choice: choice } = request;
  if (choice === "none" || request.messages.at(-1)?.role !== "user") return undefined;
  const forced = choice?.function?.name ?? choice?.name, asked = lastUserText(request);
  return tools.find((t) => t.function.name === forced) ?? tools.find((t) => asked.includes(t.function.name))
    ?? (tools.length <= 5 ? tools[0] : undefined);
}

// aimock ends a Gemini tool call with "FUNCTION_CALL", which Gemini does not have; only its Gemini requests carry this key.
const isGemini = (request) => Object.hasOwn(request, "top_k");
const endsInToolResult = (r) => r.messages.at(-1)?.role === "tool";
const isChat = (r) => r._endpointType === undefined || r._endpointType === "chat"; // not images, audio, embeddings

export async function startDemoProvider({ port = 0, tokensPerSecond = 60 } = {}) {
  const mock = new LLMock({ port, host: "127.0.0.1", chunkSize: 6, logLevel: "warn" });
  const opts = { streamingProfile: { ttft: 80, tps: tokensPerSecond } };
  const on = (predicate, response) => mock.on({ predicate: (r) => isChat(r) && predicate(r) }, response, opts);

  // First match wins.
  // A model to try retries and fallbacks with.
  on((r) => r.model === "busy", () => ({ error: { message: "The demo provider's model 'busy' never has time.", type: "server_error" }, status: 503 }));
  on(endsInToolResult, (r) => say(r, `The demo provider got the tool's answer: ${textOf(r.messages.at(-1).content).slice(0, 300)}`));
  on(chosenTool, (r) => {
    const { name, parameters } = chosenTool(r).function;
    const args = JSON.stringify(example(parameters));
    return withUsage(r, { toolCalls: [{ name, arguments: args }], ...(isGemini(r) && { finishReason: "STOP" }) }, args);
  });
  on((r) => r.response_format?.type === "json_schema", (r) => say(r, JSON.stringify(example(r.response_format.json_schema?.schema))));
  on(() => true, (r) => {
    const asked = lastUserText(r);
    const echo = asked ? `You said: "${asked.length > 200 ? `${asked.slice(0, 200)}…` : asked}"` : "You sent no text.";
    return say(r, `Hello from the demo provider! No real model is behind me, but your request arrived in one piece. ${echo}`);
  });

  mountMissingRoutes(mock);
  await mock.start();
  return mock;
}

/** Routes that aimock lacks: model lists, count_tokens, Claude on Vertex. A mount sees the path and all below it. */
function mountMissingRoutes(mock) {
  const json = (res, body, status = 200) => { res.writeHead(status, { "content-type": "application/json" }); res.end(JSON.stringify(body)); return true; };
  const read = async (req) => { let raw = ""; for await (const chunk of req) raw += chunk; return JSON.parse(raw || "{}"); };
  const asMessages = async (body, res) => {
    const answer = await fetch(`${mock.url}/v1/messages`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    res.writeHead(answer.status, { "content-type": answer.headers.get("content-type") });
    for await (const chunk of answer.body) res.write(chunk);
    res.end();
    return true;
  };
  const forward = (to) => ({ handleRequest: async (req, res, below) => {
    if (req.method !== "POST") return false;
    const answer = await fetch(mock.url + to + below + (req.url.includes("alt=sse") ? "?alt=sse" : ""), { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(await read(req)) });
    res.writeHead(answer.status, { "content-type": answer.headers.get("content-type") });
    for await (const chunk of answer.body) res.write(chunk);
    res.end();
    return true;
  } });
  const get = (path, body, otherwise) => mock.mount(path, { handleRequest: async (req, res, below) =>
    (req.method === "GET" && below === "/" && json(res, body(req))) || (otherwise?.handleRequest(req, res, below) ?? false) });

  get("/v1/models", (req) => req.headers["anthropic-version"]
    ? { data: MODELS.map((id) => ({ type: "model", id, display_name: id, created_at: "2025-01-01T00:00:00Z" })), has_more: false, first_id: MODELS[0], last_id: MODELS.at(-1) }
    : { object: "list", data: MODELS.map((id) => ({ id, object: "model", created: 1735689600, owned_by: "demo" })) },
  // Google's newer clients say /v1 for Gemini and /v1beta1 for Vertex.
  forward("/v1beta/models"));
  get("/v1beta/models", () => ({ models: MODELS.map((id) => ({ name: `models/${id}`, displayName: id, supportedGenerationMethods: ["generateContent", "streamGenerateContent"] })) }));

  mock.mount("/v1/messages/count_tokens", { handleRequest: async (req, res) => json(res, { input_tokens: tokens(JSON.stringify((await read(req)).messages)) }) });
  mock.mount("/v1/projects", { handleRequest: async (req, res, below) => {
    const found = below.match(/\/publishers\/anthropic\/models\/([^/:]+):(rawPredict|streamRawPredict)$/);
    if (!found) return false; // Gemini on Vertex: aimock's own route
    return asMessages({ ...(await read(req)), model: decodeURIComponent(found[1]), stream: found[2] === "streamRawPredict" }, res);
  } });
  mock.mount("/v1beta1/projects", forward("/v1/projects"));
  // Claude on Azure.
  mock.mount("/anthropic/v1/messages", { handleRequest: async (req, res, below) => below === "/" && asMessages(await read(req), res) });
}

if (import.meta.main) {
  const mock = await startDemoProvider({ port: Number(process.argv[2] ?? 4010) });
  console.log(`demo provider on ${mock.url}`);
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => mock.stop().then(() => process.exit(0)));
}
