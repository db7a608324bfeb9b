"""The real OpenAI and Anthropic packages against the gateway: each provider behind each SDK, plain and streamed.

    sdk_calls.py GATEWAY_URL
"""
import json
import sys

import anthropic
import openai
import pydantic

URL = sys.argv[1]
MODELS = ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-flash", "vertex/gemini-2.5-flash",
          "vertex/claude-sonnet-4-5@20250929", "azure/gpt-4o", "azure/claude-sonnet-4-5", "ollama/llama3.1:8b"]
HELLO = [{"role": "user", "content": "Hello from Python"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

# The SDKs' own retries would hide what went wrong the first time.
chat = openai.OpenAI(base_url=URL + "/openai", api_key="dummy-key", max_retries=0)
claude = anthropic.Anthropic(base_url=URL + "/anthropic", api_key="dummy-key", max_retries=0)


def openai_sdk(model):
    reply = chat.chat.completions.create(model=model, messages=HELLO)
    assert "Hello from Python" in reply.choices[0].message.content, reply
    assert reply.choices[0].finish_reason == "stop" and reply.usage.total_tokens > 0, reply

    chunks = list(chat.chat.completions.create(model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert "Hello from Python" in text, text
    assert chunks[-1].usage.total_tokens > 0 and chunks[-1].choices == [], chunks[-1]
    assert len({c.id for c in chunks}) == 1, "one id a stream"

    tools = [{"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": PARAMETERS}}]
    with chat.chat.completions.stream(model=model, messages=HELLO, tools=tools) as stream:
        for _ in stream:
            pass
        call = stream.get_final_completion().choices[0].message.tool_calls[0]
    plain = chat.chat.completions.create(model=model, messages=HELLO, tools=tools)
    assert plain.choices[0].finish_reason == "tool_calls", plain
    assert call.function.name == plain.choices[0].message.tool_calls[0].function.name == "get_weather"
    # aimock does not read Gemini's parametersJsonSchema, so its Gemini calls have no arguments.
    assert "gemini" in model or "city" in json.loads(call.function.arguments), call
    history = HELLO + [plain.choices[0].message.model_dump(exclude_none=True),
                       {"role": "tool", "tool_call_id": plain.choices[0].message.tool_calls[0].id, "content": '{"sky": "clear"}'}]
    after = chat.chat.completions.create(model=model, messages=history, tools=tools)
    assert "clear" in after.choices[0].message.content, after


def anthropic_sdk(model):
    reply = claude.messages.create(model=model, max_tokens=500, messages=HELLO)
    assert "Hello from Python" in reply.content[0].text and reply.stop_reason == "end_turn", reply
    assert reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0, reply

    with claude.messages.stream(model=model, max_tokens=500, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert "Hello from Python" in text == final.content[0].text or text == final.content[0].text, text
    assert final.usage.output_tokens > 0, final

    tools = [{"name": "get_weather", "description": "Weather", "input_schema": PARAMETERS}]
    with claude.messages.stream(model=model, max_tokens=500, messages=HELLO, tools=tools) as stream:
        streamed = stream.get_final_message()
    plain = claude.messages.create(model=model, max_tokens=500, messages=HELLO, tools=tools)
    for message in (streamed, plain):
        call = next(block for block in message.content if block.type == "tool_use")
        assert message.stop_reason == "tool_use" and call.name == "get_weather", message
        assert "gemini" in model or "city" in call.input, message
    history = HELLO + [{"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in plain.content]},
                       {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "clear sky"}]}]
    after = claude.messages.create(model=model, max_tokens=500, messages=history, tools=tools)
    assert "clear sky" in after.content[0].text, after


def responses_sdk(model):
    reply = chat.responses.create(model=model, input="Hello from Python")
    assert "Hello from Python" in reply.output_text and reply.status == "completed", reply
    with chat.responses.stream(model=model, input="Hello from Python") as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert "Hello from Python" in final.output_text and kinds[-1] == "response.completed", kinds

    tools = [{"type": "function", "name": "get_weather", "description": "Weather", "parameters": PARAMETERS, "strict": False}]
    plain = chat.responses.create(model=model, input=HELLO, tools=tools, store=False)
    call = next(item for item in plain.output if item.type == "function_call")
    assert call.name == "get_weather" and ("gemini" in model or "city" in json.loads(call.arguments)), call
    # The way back as OpenAI's guides show it: everything that came goes in again.
    history = HELLO + [item.model_dump(exclude_none=True) for item in plain.output]
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "clear sky"})
    after = chat.responses.create(model=model, input=history, tools=tools, store=False)
    assert "clear sky" in after.output_text, after


for model in MODELS:
    openai_sdk(model)
    anthropic_sdk(model)
    responses_sdk(model)

parsed = chat.responses.parse(model="ollama/llama3.1:8b", input="Hello", text_format=type("City", (pydantic.BaseModel,), {"__annotations__": {"city": str}}))
assert parsed.output_parsed.city, parsed
kept = chat.responses.create(model="anthropic/claude-sonnet-4-5", input="Remember this")
assert chat.responses.retrieve(kept.id).output_text == kept.output_text
assert chat.responses.input_items.list(kept.id).data[0].content[0].text == "Remember this"
assert chat.responses.input_tokens.count(model="anthropic/claude-sonnet-4-5", input="Remember this").input_tokens > 0
chat.responses.delete(kept.id)
try:
    chat.responses.create(model="anthropic/claude-sonnet-4-5", input="And?", previous_response_id=kept.id)
    raise AssertionError("a forgotten response was continued")
except openai.NotFoundError as error:
    assert error.code == "previous_response_not_found", error

for model in ("openai/text-embedding-3-small", "azure/text-embedding-3-small", "ollama/nomic-embed-text"):
    vectors = chat.embeddings.create(model=model, input=["one", "two"])
    assert [item.index for item in vectors.data] == [0, 1] and len(vectors.data[0].embedding) > 1, vectors

picture = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
seen = chat.chat.completions.create(model="anthropic/claude-sonnet-4-5", messages=[{"role": "user", "content": [
    {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": picture}}]}])
assert "What is this?" in seen.choices[0].message.content, seen

azure = openai.AzureOpenAI(api_key="dummy-key", api_version="2024-02-01", azure_endpoint=URL + "/openai", max_retries=0)
assert "Hello" in azure.chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content
assert any(model.id == "gemini/gemini-2.5-flash" for model in chat.models.list())
assert any(model.id == "gemini/gemini-2.5-flash" for model in claude.models.list())
assert claude.messages.count_tokens(model="openai/gpt-4o", messages=HELLO).input_tokens > 0

try:
    chat.chat.completions.create(model="anthropic/claude-sonnet-4-5", messages=HELLO, n=2)
    raise AssertionError("n=2 went through")
except openai.BadRequestError as error:
    assert error.param == "n", error
try:
    claude.messages.create(model="openai/gpt-4o", max_tokens=5, messages=[])
    raise AssertionError("no messages went through")
except anthropic.BadRequestError as error:
    assert error.body["error"]["type"] == "invalid_request_error", error

print(f"{len(MODELS)} models behind both SDKs")
