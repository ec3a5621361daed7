"""Options of a request to a llama.cpp sampler chain, in the order of llama.cpp's own programs.

grammar, penalties, DRY, top-n-sigma, top-k, typical-p, top-p, min-p, XTC, temperature, then the draw; mirostat takes
the place of everything between the penalties and the draw. A sampler whose option switches it off is left out.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from ollama_engine.runner.free_text import FreeTextSampler
from ollama_engine.runner.llama import C, LlamaContext, LlamaError, LlamaSampler
from ollama_engine.runner.protocol import Sampling

DRY_BREAKERS = (b"\n", b":", b'"', b"*")
MIN_KEEP = 1


def build_chain(sampling: Sampling, context: LlamaContext) -> LlamaSampler | FreeTextSampler:
    """The chain for one request; close it when the request ends. LlamaError where the grammar does not parse."""
    grammar = _grammar(sampling.grammar, context)
    held = _filled(sampling, context, grammar)
    if grammar is None or sampling.free_text is None:
        return held
    unheld = _filled(sampling, context, None)
    return FreeTextSampler(sampling.free_text, unheld, held, grammar, context.model)


def _grammar(text: str, context: LlamaContext) -> Any:
    if not text:
        return None
    grammar = C.llama_sampler_init_grammar(context.model.vocab, text.encode(), b"root")
    if not grammar:
        raise LlamaError("the grammar is not valid GBNF, or has no rule 'root'")
    return grammar


def _filled(sampling: Sampling, context: LlamaContext, grammar: Any) -> LlamaSampler:
    chain = LlamaSampler()
    try:
        if grammar is not None:
            chain.add(grammar)
        _fill(chain, sampling, context)
    except LlamaError:
        chain.close()
        raise
    return chain


def _fill(chain: LlamaSampler, sampling: Sampling, context: LlamaContext) -> None:
    model = context.model
    seed = sampling.seed & 0xFFFFFFFF if sampling.seed >= 0 else int.from_bytes(os.urandom(4), "little")
    seed = min(seed, 0xFFFFFFFE)  # the one above means "at random" to llama.cpp
    _add_penalties(chain, sampling, context)
    if sampling.temperature <= 0:
        chain.add(C.llama_sampler_init_greedy())
        return
    if sampling.mirostat in (1, 2):
        chain.add(C.llama_sampler_init_temp(sampling.temperature))
        tau, eta = sampling.mirostat_tau, sampling.mirostat_eta
        if sampling.mirostat == 1:
            chain.add(C.llama_sampler_init_mirostat(model.n_vocab, seed, tau, eta, 100))
        else:
            chain.add(C.llama_sampler_init_mirostat_v2(seed, tau, eta))
        return
    if sampling.top_n_sigma > 0:
        chain.add(C.llama_sampler_init_top_n_sigma(sampling.top_n_sigma))
    if sampling.top_k > 0:
        chain.add(C.llama_sampler_init_top_k(sampling.top_k))
    if 0 < sampling.typical_p < 1:
        chain.add(C.llama_sampler_init_typical(sampling.typical_p, MIN_KEEP))
    if sampling.top_p < 1:
        chain.add(C.llama_sampler_init_top_p(sampling.top_p, MIN_KEEP))
    if sampling.min_p > 0:
        chain.add(C.llama_sampler_init_min_p(sampling.min_p, MIN_KEEP))
    if sampling.xtc_probability > 0:
        chain.add(C.llama_sampler_init_xtc(sampling.xtc_probability, sampling.xtc_threshold, MIN_KEEP, seed))
    if sampling.dynatemp_range > 0:
        chain.add(
            C.llama_sampler_init_temp_ext(sampling.temperature, sampling.dynatemp_range, sampling.dynatemp_exponent)
        )
    else:
        chain.add(C.llama_sampler_init_temp(sampling.temperature))
    chain.add(C.llama_sampler_init_dist(seed))


def _add_penalties(chain: LlamaSampler, sampling: Sampling, context: LlamaContext) -> None:
    last_n = context.n_ctx if sampling.repeat_last_n < 0 else sampling.repeat_last_n
    changes_anything = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty) != (
        1,
        0,
        0,
    )
    if last_n > 0 and changes_anything:
        chain.add_history(
            C.llama_sampler_init_penalties(
                context.model.n_vocab,
                last_n,
                sampling.repeat_penalty,
                sampling.frequency_penalty,
                sampling.presence_penalty,
            ),
            last_n,
        )
    dry_last_n = context.n_ctx if sampling.dry_penalty_last_n < 0 else sampling.dry_penalty_last_n
    if sampling.dry_multiplier > 0 and dry_last_n > 0:
        breakers = (ctypes.c_char_p * len(DRY_BREAKERS))(*DRY_BREAKERS)
        chain.add_history(
            C.llama_sampler_init_dry(
                context.model.vocab,
                sampling.dry_multiplier,
                sampling.dry_base,
                sampling.dry_allowed_length,
                dry_last_n,
                breakers,
                len(DRY_BREAKERS),
            ),
            dry_last_n,
        )
