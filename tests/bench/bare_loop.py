"""The least that decodes a model: llama.cpp's own calls in a loop, one sequence, nobody to tell.

What the engine's speed is measured against (engine_overhead.py starts it as a process of its own). Weights, context
and sampler chain are made as the runner makes them, so that only the loop differs. A line of JSON in, one out.
"""

from __future__ import annotations

import json
import sys
import time

import msgspec

from ollama_engine.runner.llama import C, set_log
from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.llama_model import LlamaModel
from ollama_engine.runner.protocol import LoadSpec, Sampling
from ollama_engine.runner.sampler_chain import build_chain


def decode(context: LlamaContext, prompt: list[int], sampling: Sampling, max_tokens: int) -> tuple[int, float]:
    """Tokens after the first one, and the seconds they took. Ends at an end token, as an answer does."""
    C.llama_memory_clear(context.memory, True)
    chain = build_chain(sampling, context)
    chain.prime(prompt)
    handle, vocab, sampler = context.handle, context.model.vocab, chain.handle
    tokens = (C.llama_token * len(prompt))(*prompt)
    if C.llama_decode(handle, C.llama_batch_get_one(tokens, len(prompt))) != 0:
        raise SystemExit("llama_decode failed")
    token = C.llama_sampler_sample(sampler, handle, -1)
    one = (C.llama_token * 1)(token)
    batch = C.llama_batch_get_one(one, 1)
    n = 0
    began = time.perf_counter()
    while n < max_tokens - 1 and not C.llama_vocab_is_eog(vocab, token):
        one[0] = token
        C.llama_decode(handle, batch)
        token = C.llama_sampler_sample(sampler, handle, -1)
        n += 1
    seconds = time.perf_counter() - began
    chain.close()
    return n, seconds


def main() -> None:
    keep = set_log(lambda level, text: None)
    spec = msgspec.json.decode(sys.argv[1], type=LoadSpec)
    model = LlamaModel(spec, lambda fraction: True)
    context = LlamaContext(model, spec)
    for line in sys.stdin:
        asked = json.loads(line)
        prompt = model.tokenize(asked["prompt"], add_special=True, parse_special=True)
        results = [
            decode(context, prompt, msgspec.convert(sampling, Sampling), asked["max_tokens"])
            for sampling in asked["sampling"]
        ]
        print(json.dumps(results), flush=True)
    assert keep


if __name__ == "__main__":
    main()
