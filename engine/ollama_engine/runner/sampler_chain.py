"""Options of a request to the sampler of its tokens: llama.cpp's samplers, in the order of llama.cpp's own programs.

penalties, DRY, top-n-sigma, top-k, typical-p, top-p, min-p, XTC, temperature, then the draw; mirostat takes the place
of everything between the penalties and the draw. A sampler whose option switches it off is left out. Bias comes before
all of them, the grammar after (token_sampler.py).
"""

from __future__ import annotations

import ctypes
import math
import os

from ollama_engine.runner.candidates import Candidates
from ollama_engine.runner.free_text import FreeTextSampler
from ollama_engine.runner.llama import C, LlamaError
from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.llama_sampler import LlamaGrammar, LlamaSampler
from ollama_engine.runner.protocol import Sampling
from ollama_engine.runner.token_sampler import TokenSampler

DRY_BREAKERS = (b"\n", b":", b'"', b"*")
MIN_KEEP = 1


def build_sampler(sampling: Sampling, context: LlamaContext, candidates: Candidates) -> TokenSampler | FreeTextSampler:
    """What chooses the tokens of one request; close it when the request ends.

    Args:
        candidates: room to work in, which all requests of a context may share.

    Raises:
        LlamaError: the grammar does not parse.
    """
    chain = build_chain(sampling, context)
    try:
        grammar = LlamaGrammar(context.model, sampling.grammar) if sampling.grammar else None
    except LlamaError:
        chain.close()
        raise
    penalizes = _penalty_window(sampling, context)
    ends = dict.fromkeys(context.model.end_tokens, -math.inf) if sampling.ignore_eos else {}
    sampler = TokenSampler(
        chain,
        grammar,
        candidates,
        narrow=_narrow(sampling),
        history=penalizes,
        greedy=sampling.temperature <= 0 and not penalizes and sampling.dry_multiplier <= 0,
        bias={**sampling.logit_bias, **ends},
    )
    if grammar is None or sampling.free_text is None:
        return sampler
    return FreeTextSampler(sampling.free_text, sampler, context.model)


def build_chain(sampling: Sampling, context: LlamaContext) -> LlamaSampler:
    """llama.cpp's samplers alone."""
    chain = LlamaSampler()
    try:
        _fill(chain, sampling, context)
    except LlamaError:
        chain.close()
        raise
    return chain


def _narrow(sampling: Sampling) -> int:
    """How many of the likeliest tokens decide; 0 where some sampler looks at all of them before top-k has chosen."""
    if sampling.dry_multiplier > 0:  # which tokens it holds down, nobody knows before
        return 0
    if sampling.temperature <= 0:
        return 1
    if sampling.mirostat in (1, 2) or sampling.top_n_sigma > 0:
        return 0
    return max(0, sampling.top_k)


def _penalty_window(sampling: Sampling, context: LlamaContext) -> int:
    """How many of the last tokens the penalties look back at; 0 where there are none."""
    changes_nothing = (sampling.repeat_penalty, sampling.frequency_penalty, sampling.presence_penalty) == (1, 0, 0)
    last_n = context.n_ctx if sampling.repeat_last_n < 0 else sampling.repeat_last_n
    return 0 if changes_nothing else last_n


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
    last_n = _penalty_window(sampling, context)
    if last_n:
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
