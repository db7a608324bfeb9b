#!/usr/bin/env python3
"""A real (but meaningless) model behind llama.cpp's own HTTP server, for tests.

    model_server.py --model PATH [--port N] [--ctx N] [--slots N] [--threads N] [--max-tokens N]

Writes a tiny random-weight llama GGUF to PATH if there is none, serves it on 127.0.0.1,
prints `listening <port>` once it answers, and leaves on SIGTERM or SIGINT with status 0.
llama.cpp logs to stderr; stdout carries that line only. The text is noise, and near half
the vocabulary are raw bytes, so U+FFFD is frequent; the protocol around it is real.

Noise hardly ever calls a tool, not even with tool_choice "required". A request that adds
    "logit_bias": [["<tool_call>", 20]], "stop": ["</tool_call>"]
gets one whole call that fits its schema (finish_reason "tool_calls"), if every string in
the schema has a maxLength. With tools or response_format the server answers 500 to noise
that does not parse: cut by max_tokens (give 200 or so) or not UTF-8. Same seed, same text.

Needs: gguf==0.19.0, numpy==2.4.6, xllamacpp==2026.10.11549
"""
import argparse
import os
import signal

# Shape of the model. Every attention head is EMBD / HEADS = 16 wide.
LAYERS, EMBD, HEADS, FF, TRAIN_CTX, SEED = 2, 64, 4, 128, 4096, 20240601

# ChatML. The markers are control tokens: read in a prompt, left out of an answer.
# llama.cpp knows <|im_end|> by name as an end of generation.
CONTROL = ["<|im_start|>", "<|im_end|>"]
# Whole tokens, and the JSON right behind: so one logit_bias starts a call (see the head).
MARKERS = ["<tool_call>", "</tool_call>"]
CHAT_TEMPLATE = """
{%- if tools %}<|im_start|>system
{% for t in tools %}{{ t | tojson }}
{% endfor %}<|im_end|>
{% endif -%}
{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content or '' }}
{%- for c in m.tool_calls or [] -%}
<tool_call>{{ {"name": c.function.name, "arguments": c.function.arguments} | tojson }}</tool_call>
{%- endfor %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}"""
WORDS = """the of and to in is that it was for on are as with they be at this have from or one had
by word but not what all were we when your can use user assistant system hello world model server
token stream answer question red green blue yes no maybe river stone""".split()
# Pieces of two, three and four bytes of UTF-8, so that plain tokens hold them too.
UNICODE = list("éèüößñçøåλπЖя€–“”…漢字日本語한글🙂🚀🌍")
# Ends of words, which follow without a space.
SUFFIXES = "er ing ed es ly tion ment ness able ous ive al ic ist ism ity un re pre dis".split()


def vocabulary(gguf):
    """SentencePiece-style (text, score, type) rows: specials, 256 bytes, pieces."""
    T = gguf.TokenType
    rows = [("<unk>", 0.0, T.UNKNOWN), ("<s>", 0.0, T.CONTROL), ("</s>", 0.0, T.CONTROL)]
    rows += [(c, 0.0, T.CONTROL) for c in CONTROL] + [(m, 0.0, T.USER_DEFINED) for m in MARKERS]
    # Byte tokens make every input encodable: what no piece covers falls back to them.
    rows += [(f"<0x{b:02X}>", 0.0, T.BYTE) for b in range(256)]
    # U+2581 is SentencePiece's space. SPM joins neighbours pairwise, best score first,
    # so it reaches a word only over pieces that exist: add every prefix of every word.
    words = ["\u2581" + w for w in WORDS] + SUFFIXES
    stems = [w[:n] for w in words for n in range(2, len(w))]
    chars = ["\u2581"] + [chr(c) for c in range(0x21, 0x7F)]
    for i, piece in enumerate(dict.fromkeys(chars + UNICODE + stems + words)):
        rows.append((piece, -1000.0 + len(piece) * 100 - i * 0.01, T.NORMAL))  # longer is better
    return rows


def write_model(path):
    """Write the GGUF beside `path` and rename it, so that a killed run leaves no half file."""
    import gguf  # here, so that a run with the file at hand needs neither
    import numpy as np

    rows, rng = vocabulary(gguf), np.random.default_rng(SEED)
    tmp = f"{path}.{os.getpid()}.tmp"
    w = gguf.GGUFWriter(tmp, "llama")
    for add, value in (
        (w.add_name, "tiny-random"), (w.add_file_type, gguf.LlamaFileType.MOSTLY_F16),
        (w.add_vocab_size, len(rows)), (w.add_context_length, TRAIN_CTX),
        (w.add_block_count, LAYERS), (w.add_embedding_length, EMBD),
        (w.add_feed_forward_length, FF), (w.add_head_count, HEADS),
        (w.add_layer_norm_rms_eps, 1e-5), (w.add_tokenizer_model, "llama"),
        (w.add_token_list, [r[0] for r in rows]), (w.add_token_scores, [r[1] for r in rows]),
        (w.add_token_types, [int(r[2]) for r in rows]),
        (w.add_bos_token_id, 1), (w.add_eos_token_id, 2), (w.add_chat_template, CHAT_TEMPLATE),
    ):
        add(value)
    # With a space put after <|im_start|> the prompt is no longer the text that grammars
    # of JSON answers begin with, and those requests fail with "initialize samplers".
    w.add_add_space_prefix(False)

    shapes = {"token_embd": (len(rows), EMBD), "output_norm": (EMBD,), "output": (len(rows), EMBD)}
    for i in range(LAYERS):
        shapes |= {f"blk.{i}.attn_{part}": (EMBD, EMBD) for part in ("q", "k", "v", "output")}
        shapes |= {f"blk.{i}.ffn_{part}": (FF, EMBD) for part in ("gate", "up")}
        shapes |= {f"blk.{i}.ffn_down": (EMBD, FF)}
        shapes |= {f"blk.{i}.{part}_norm": (EMBD,) for part in ("attn", "ffn")}
    for name, shape in shapes.items():
        norm = len(shape) == 1
        w.add_tensor(name + ".weight", np.ones(shape, np.float32) if norm else
                     rng.normal(0, 0.2, shape).astype(np.float16))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(tmp, path)


def main():
    ap = argparse.ArgumentParser(description="llama.cpp's HTTP server over a tiny random model")
    ap.add_argument("--port", type=int, default=0, help="0 picks a free one")
    ap.add_argument("--model", required=True, help="the GGUF file, written if absent")
    ap.add_argument("--ctx", type=int, default=2048, help="context per slot")
    ap.add_argument("--slots", type=int, default=2, help="requests answered at once")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--max-tokens", type=int, default=64, help="where the request names none")
    args = ap.parse_args()

    # Before the server starts its threads: they inherit the mask, so the signal
    # waits for sigwait() below however early it comes, and no C++ code sees it.
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)

    if not os.path.exists(args.model):
        write_model(args.model)

    import xllamacpp as xlc
    p = xlc.CommonParams()
    p.model.path = args.model
    p.model_alias = {"tiny-random"}
    p.hostnames, p.port = ["127.0.0.1"], args.port
    p.n_ctx, p.n_parallel = args.ctx * args.slots, args.slots
    p.n_predict, p.n_threads_http = args.max_tokens, 4
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = args.threads
    p.n_gpu_layers, p.fit_params, p.cache_ram_mib, p.ui = 0, False, 0, False
    p.sampling.seed = SEED
    server = xlc.Server(p)  # returns once the model is loaded; raises if it cannot be
    port = int(server.listening_address.rsplit(":", 1)[1])
    print(f"listening {port}", flush=True)

    signal.sigwait(stop)
    # Not `del server`: with a stream open that mostly waits 30 s (for its next ping),
    # holding the GIL. There is nothing to save; the kernel closes the sockets.
    os._exit(0)


if __name__ == "__main__":
    main()
