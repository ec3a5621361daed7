"""What the runner says about an image is what mtmd's own loop says: same positions, same attention, same order."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llama_cpp.mtmd_cpp as mtmd_cpp
import pytest

from ollama_engine.runner import llama
from ollama_engine.runner.llama_batch import LlamaBatch
from ollama_engine.runner.llama_context import LlamaContext
from ollama_engine.runner.media_files import read_picture
from ollama_engine.runner.mtmd import MediaChunk, Projector
from ollama_engine.runner.protocol import LoadSpec
from tests.engine.runner.running import answer, running
from tests.engine.runner.stepping import load
from tests.support.media_models import VisionKind, picture, text_model, vision_projector

BEFORE, BETWEEN, AFTER = [1, 2, 3, 4, 5], [40, 41], [6, 7, 8, 9]
FILES = [picture(1, (140, 60)), picture(2, (60, 200))]
LONG = 24


def reference(text: Path, projector_path: Path, prompt: list[int]) -> list[int]:
    """LONG greedy tokens, by mtmd's helper that encodes and decodes a chunk; -1, -2 in the prompt are the FILES."""
    model = load(text)
    spec = LoadSpec([], 2048, n_threads=1, projector_paths=[str(projector_path)])
    context = LlamaContext(model, spec)
    projector = Projector(str(projector_path), model, spec)
    batch = LlamaBatch(context.n_batch)
    place = 0

    def decode(tokens: list[int]) -> None:
        nonlocal place
        batch.clear()
        batch.add(tokens, place, 0, want_logits=True)
        assert context.decode(batch) == 0
        place += len(tokens)

    def show(chunk: MediaChunk) -> None:
        nonlocal place
        after = llama.C.llama_pos()
        code = mtmd_cpp.mtmd_helper_eval_chunk_single(
            projector.handle, context.handle, chunk._handle, place, 0, context.n_batch, True, ctypes.byref(after)
        )
        assert code == 0
        place = after.value

    for token in prompt:
        if token >= 0:
            decode([token])
            continue
        for piece in projector.read_picture(read_picture(FILES[~token])):
            show(piece) if isinstance(piece, MediaChunk) else decode(piece)
    output: list[int] = []
    while len(output) < LONG:
        output.append(int(context.logits(-1).argmax()))
        decode(output[-1:])
    llama.C.llama_free(context.handle)
    mtmd_cpp.mtmd_free(projector.handle)
    return output


@pytest.mark.parametrize("kind", ["mlp", "gemma3", "qwen2vl"])
async def test_images_are_read_as_by_mtmd_itself(kind: VisionKind, tmp_path: Path) -> None:
    text = text_model(tmp_path / "text.gguf", mrope=kind == "qwen2vl")
    projector = vision_projector(tmp_path / "projector.gguf", kind)
    prompts = [[*BEFORE, -1, *AFTER], [*BEFORE, -1, *BETWEEN, -2, *AFTER], [-2, -1, *AFTER]]
    async with running(text, n_ctx=2048, projector_paths=[str(projector)]) as runner:
        for prompt in [*prompts, *prompts]:  # fresh, and from the cache
            done = (await answer(runner, prompt, media=FILES, max_tokens=LONG, return_tokens=True)).done
            assert done.tokens is not None
            expected = reference(text, projector, prompt)
            output = done.tokens[-done.output_tokens :]
            assert output == expected[: len(output)]
            assert done.output_tokens == LONG or done.reason == "stop"
            assert len(output) > 1
