"""What a projector takes of memory: its weights, and the buffers that it encodes an image or a sound in.

llama.cpp makes the buffers for one input of a certain size when it loads a projector (tools/mtmd/clip.cpp, warmup): a
whole image where all images have the same size, a middling one where they have their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollama_engine.gguf.header import Header

FLOAT = 4
HELD = 4
"""Rows of the encoder's width that are there while a layer computes."""
SOUND_POSITIONS = 1500
"""30 seconds."""

WARM_UP = {
    **dict.fromkeys(
        ("qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "ling3vl", "glm4v", "glm5v"), (46 * 2) ** 2
    ),
    **dict.fromkeys(("qwen2.5o", "paddleocr", "dots_ocr", "dots3note_v", "mimovl", "hunyuanvl"), (46 * 2) ** 2),
    **dict.fromkeys(("pixtral", "lightonocr", "kimivl", "youtuvl", "minimax_m3"), (16 * 2) ** 2),
    **dict.fromkeys(("gemma4v", "gemma4uv"), (16 * 3) ** 2),
    "muse-glimmer": (32 * 2) ** 2,
}
"""Patches of the image that the buffers are made for, where images keep their own size."""


@dataclass(frozen=True)
class ProjectorMemory:
    """Bytes."""

    weights: int = 0
    compute: int = 0


def projector_memory(header: Header) -> ProjectorMemory:
    """InvalidGGUF where a key has a value of the wrong kind."""
    weights = sum(tensor.nbytes for tensor in header.tensors)
    return ProjectorMemory(weights, max(_compute(header, "vision"), _compute(header, "audio")))


def _compute(header: Header, sense: str) -> int:
    prefix = f"clip.{sense}"
    width = header.integer(f"{prefix}.embedding_length")
    if not width or not header.flag(f"clip.has_{sense}_encoder"):
        return 0
    kind = header.text("clip.projector_type") or header.text(f"{prefix}.projector_type")
    # A gate beside it is as wide, and the product of both.
    block = "v" if sense == "vision" else "a"
    gated = any(tensor.name == f"{block}.blk.0.ffn_gate.weight" for tensor in header.tensors)
    feed_forward = header.integer(f"{prefix}.feed_forward_length") * (3 if gated else 1)
    if sense == "vision":
        side = header.integer(f"{prefix}.image_size") // max(1, header.integer(f"{prefix}.patch_size"))
        positions = WARM_UP.get(kind, side * side)
    else:
        positions = SOUND_POSITIONS
    return FLOAT * positions * (HELD * width + feed_forward)
