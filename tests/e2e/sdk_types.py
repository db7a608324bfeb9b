"""What callers receive of the recorded traffic, judged by the SDKs' own types.

    sdk_types.py FOLDER      written by tests/replay.rs with REPLAY_DUMP=FOLDER
"""
import json
import pathlib
import sys

from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

folder = pathlib.Path(sys.argv[1])
KINDS = {
    "OpenAiChat.reply": TypeAdapter(ChatCompletion),
    "OpenAiChat.event": TypeAdapter(ChatCompletionChunk),
    "OpenAiResponses.reply": TypeAdapter(Response),
    "OpenAiResponses.event": TypeAdapter(ResponseStreamEvent),
    "Anthropic.reply": TypeAdapter(Message),
    "Anthropic.event": TypeAdapter(RawMessageStreamEvent),
}
failed = 0
for name, adapter in KINDS.items():
    path = folder / f"{name}.jsonl"
    if not path.exists():
        print(f"SKIPPED: no {name}")
        continue
    accepted = 0
    for line in path.read_text().splitlines():
        value = json.loads(line)
        # Error events are no member of either SDK's stream types: their readers raise them.
        if value.get("error"):
            continue
        try:
            adapter.validate_python(value, strict=True)
            accepted += 1
        except Exception as error:
            failed += 1
            if failed <= 5:
                print(name, line[:300], error)
    print(f"{name}: {accepted} accepted")
sys.exit(1 if failed else 0)
