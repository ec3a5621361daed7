"""What becomes of a load for which there is not enough memory: it is tried once more with less, and that is said.

Estimates err, and what was free when one was made may be taken a second later. What is given up first is context,
then layers on the GPU. Only failures for lack of memory are tried again, and each load once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ollama_engine.errors import LoadFailed
from ollama_engine.runner.client import Runner
from ollama_engine.runner.protocol import LoadSpec

if TYPE_CHECKING:
    from ollama_engine.scheduler.placement import Placement

log = logging.getLogger(__name__)

CONTEXT_STEPS = (32_768, 4096)
"""Contexts that a longer one is taken down to, tokens: Ollama's (spec §10)."""
LEAST_CONTEXT = 512
LEAST_WITH_PROJECTOR = 2048
"""Below these nothing is gained that would be of use."""


async def load_or_step_down(
    placement: Placement,
    start: Callable[[LoadSpec], Awaitable[Runner]],
    on_smaller: Callable[[Placement, str], None],
) -> Runner:
    """Load as `placement` says, or with less where memory does not suffice for that.

    Args:
        start: loads a spec.
        on_smaller: called before it is tried with less, with that placement and with what to tell whoever asked.

    Raises:
        LoadFailed: it does not load; after a second try it says what was tried.
    """
    try:
        return await start(placement.spec)
    except LoadFailed as error:
        smaller = placement.smaller() if error.out_of_memory else None
        if smaller is None:
            raise
        first = error
    notice = f"not enough memory: loaded with {difference(placement.spec, smaller.spec)}"
    log.warning("%s; trying again with less. %s", first.message, notice)
    on_smaller(smaller, notice)
    try:
        return await start(smaller.spec)
    except LoadFailed as error:
        tried = difference(placement.spec, smaller.spec)
        hint = f"Choose a num_ctx below {smaller.spec.n_ctx}, a smaller quantization or model, or free some memory."
        raise LoadFailed(
            f"{error.message}; it was tried twice, the second time with {tried}",
            hint=hint if error.out_of_memory else error.hint,
            out_of_memory=error.out_of_memory,
        ) from first


def smaller_spec(spec: LoadSpec, gpu_layers: int) -> LoadSpec | None:
    """How to load a model with less memory; None where there is nothing to be given up.

    Args:
        gpu_layers: how many of its layers lie on GPUs as it is.
    """
    least = LEAST_WITH_PROJECTOR if spec.projector_paths else LEAST_CONTEXT
    n_ctx = next((step for step in CONTEXT_STEPS if spec.n_ctx > step), spec.n_ctx)
    n_seq = spec.n_seq if spec.pooling else 1  # an embedder's sequences share the cells of one context
    if n_ctx < spec.n_ctx or n_seq < spec.n_seq:
        return _with_context(spec, n_ctx, n_seq)
    if gpu_layers > 0:
        return replace(spec, n_gpu_layers=gpu_layers * 3 // 4)
    if spec.n_ctx > least:
        return _with_context(spec, max(least, n_ctx // 4), n_seq)
    return None


def _with_context(spec: LoadSpec, n_ctx: int, n_seq: int) -> LoadSpec:
    return replace(spec, n_ctx=n_ctx, n_seq=n_seq, n_batch=min(spec.n_batch, max(n_ctx, LEAST_CONTEXT)))


def difference(asked: LoadSpec, got: LoadSpec) -> str:
    """In which ways the one is less than the other, in words."""
    parts: list[str] = []
    if got.n_ctx < asked.n_ctx:
        parts.append(f"a context of {got.n_ctx} tokens instead of {asked.n_ctx}")
    if got.n_seq < asked.n_seq:
        parts.append(f"one request at a time instead of {asked.n_seq}")
    if got.n_gpu_layers != asked.n_gpu_layers:
        before = "all" if asked.n_gpu_layers < 0 else str(asked.n_gpu_layers)
        parts.append(f"{got.n_gpu_layers} layers on the GPU instead of {before}")
    return " and ".join(parts)
