"""Makes small projectors (mmproj GGUFs) with random weights that real llama.cpp loads, a text model for each, and files
to show them.

What they see means nothing to them, but it is theirs: another picture gives other embeddings, and those another answer.
"""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from gguf import GGUFWriter
from numpy.typing import NDArray
from PIL import Image

from tests.support.gguf_models import CHATML, TINY, add_byte_tokenizer, add_shape, llama_tensors

WIDTH = TINY["width"]
"""Of the text models that these projectors are made for: those of `text_model`, and `random_model(path, **TINY)`."""
PATCH = 14
MEL_BINS = 80

VisionKind = Literal["mlp", "gemma3", "qwen2vl"]
"""`mlp`: LLaVA's, an image is 16 cells. `gemma3`: 4 cells that look at each other. `qwen2vl`: cells by the
image's size, placed by M-RoPE; needs `text_model(..., mrope=True)`."""

_EMBD, _FF, _HEADS, _LAYERS = 32, 64, 2, 2


def vision_projector(path: Path, kind: VisionKind = "mlp", *, seed: int = 0, image_size: int = 56) -> Path:
    writer = GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "qwen2vl_merger" if kind == "qwen2vl" else kind)
    _add_encoder(writer, "vision")
    writer.add_uint32("clip.vision.image_size", image_size)
    writer.add_uint32("clip.vision.patch_size", PATCH)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    writer.add_bool("clip.use_gelu", True)
    if kind == "gemma3":
        writer.add_uint32("clip.vision.projector.scale_factor", 2)
    patches = (image_size // PATCH) ** 2
    return _write(writer, dict(_vision_tensors(kind, patches)), seed)


def audio_projector(path: Path, *, seed: int = 0, stack: int = 4) -> Path:
    """Ultravox's: 30 seconds of sound, or what there is of them with silence after it, are 375 cells.

    `stack`: how many frames of sound become one cell, times two.
    """
    writer = GGUFWriter(path, "clip")
    writer.add_bool("clip.has_audio_encoder", True)
    writer.add_string("clip.projector_type", "ultravox")
    _add_encoder(writer, "audio")
    writer.add_uint32("clip.audio.num_mel_bins", MEL_BINS)
    writer.add_uint32("clip.audio.projector.stack_factor", stack)
    return _write(writer, dict(_audio_tensors(stack)), seed)


def text_model(
    path: Path, *, mrope: bool = False, context_length: int = 4096, seed: int = 0, template: str = CHATML
) -> Path:
    """A text model with random weights, so large that its greedy answer turns on everything that it was shown.

    Of llama's architecture, or of Qwen2-VL's (`mrope`); F32, so that the shape of a batch hardly changes its logits.
    """
    shape = TINY
    writer = GGUFWriter(path, "qwen2vl" if mrope else "llama")
    writer.add_name("text")
    tokens = add_byte_tokenizer(writer, [])
    add_shape(writer, *shape.values(), context_length, tokens)  # type: ignore[arg-type]
    head = shape["width"] // shape["heads"]
    if mrope:
        writer.add_array("qwen2vl.rope.dimension_sections", [head // 4, head // 8, head // 8, 0])
    else:
        writer.add_rope_dimension_count(head)
    writer.add_file_type(0)
    writer.add_chat_template(template)
    random = np.random.default_rng(seed)
    for name, size in llama_tensors(*shape.values(), tokens):  # type: ignore[arg-type]
        values = np.ones(size) if len(size) == 1 else random.standard_normal(size) * 0.2
        writer.add_tensor(name, values.astype(np.float32))
    return _close(writer, path)


def picture(seed: int = 0, size: tuple[int, int] = (56, 56), format: str = "PNG", **options: object) -> bytes:
    """Colours at random, in squares large enough to survive being scaled."""
    squares = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    image = Image.fromarray(squares).resize(size, Image.Resampling.NEAREST)
    return saved(image, format, **options)


def saved(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def sound(hertz: float = 440.0, seconds: float = 1.0, rate: int = 16_000) -> bytes:
    """A sine as a WAV file, 16 bits, mono."""
    samples = np.sin(2 * math.pi * hertz * np.arange(int(seconds * rate)) / rate) * 20_000
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return buffer.getvalue()


MP3_FRAME = b"\xff\xfb\x90\xc0".ljust(417, b"\0")
"""26 ms of silence: MPEG-1 layer III, 128 kbit/s, 44.1 kHz, mono."""


def xing_frame(frames: int) -> bytes:
    """The frame in front of an MP3 that claims how many there are."""
    tag = b"Xing" + struct.pack(">II", 1, frames)
    return (MP3_FRAME[:4] + bytes(17) + tag).ljust(417, b"\0")


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG whose header promises more pixels than anybody should make room for."""
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def _add_encoder(writer: GGUFWriter, sense: str) -> None:
    writer.add_uint32(f"clip.{sense}.embedding_length", _EMBD)
    writer.add_uint32(f"clip.{sense}.feed_forward_length", _FF)
    writer.add_uint32(f"clip.{sense}.block_count", _LAYERS)
    writer.add_uint32(f"clip.{sense}.projection_dim", WIDTH)
    writer.add_uint32(f"clip.{sense}.attention.head_count", _HEADS)
    writer.add_float32(f"clip.{sense}.attention.layer_norm_epsilon", 1e-5)


def _layers(prefix: str, *, key_bias: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer in range(_LAYERS):
        block = f"{prefix}.blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            yield f"{block}{name}.weight", (_EMBD, _EMBD)
            if name != "attn_k" or key_bias:
                yield f"{block}{name}.bias", (_EMBD,)
        for norm in ("ln1", "ln2"):
            yield f"{block}{norm}.weight", (_EMBD,)
            yield f"{block}{norm}.bias", (_EMBD,)
        yield f"{block}ffn_up.weight", (_FF, _EMBD)
        yield f"{block}ffn_up.bias", (_FF,)
        yield f"{block}ffn_down.weight", (_EMBD, _FF)
        yield f"{block}ffn_down.bias", (_EMBD,)


def _vision_tensors(kind: VisionKind, patches: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _layers("v", key_bias=True)
    yield "v.patch_embd.weight", (_EMBD, 3, PATCH, PATCH)
    yield "v.post_ln.weight", (_EMBD,)
    yield "v.post_ln.bias", (_EMBD,)
    if kind == "qwen2vl":
        yield "v.patch_embd.weight.1", (_EMBD, 3, PATCH, PATCH)
        yield "mm.0.weight", (4 * _EMBD, 4 * _EMBD)
        yield "mm.0.bias", (4 * _EMBD,)
        yield "mm.2.weight", (WIDTH, 4 * _EMBD)
        yield "mm.2.bias", (WIDTH,)
        return
    yield "v.position_embd.weight", (patches, _EMBD)
    if kind == "gemma3":
        yield "mm.input_projection.weight", (_EMBD, WIDTH)
        yield "mm.soft_emb_norm.weight", (_EMBD,)
        return
    yield "mm.0.weight", (WIDTH, _EMBD)
    yield "mm.0.bias", (WIDTH,)
    yield "mm.2.weight", (WIDTH, WIDTH)
    yield "mm.2.bias", (WIDTH,)


def _audio_tensors(stack: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from _layers("a", key_bias=False)
    yield "a.conv1d.1.weight", (_EMBD, MEL_BINS, 3)
    yield "a.conv1d.1.bias", (_EMBD, 1)
    yield "a.conv1d.2.weight", (_EMBD, _EMBD, 3)
    yield "a.conv1d.2.bias", (_EMBD, 1)
    yield "a.position_embd.weight", (1500, _EMBD)
    yield "a.post_ln.weight", (_EMBD,)
    yield "a.post_ln.bias", (_EMBD,)
    yield "mm.a.norm_pre.weight", (stack * _EMBD,)
    yield "mm.a.norm_mid.weight", (WIDTH,)
    yield "mm.a.mlp.1.weight", (2 * WIDTH, stack * _EMBD)
    yield "mm.a.mlp.2.weight", (WIDTH, WIDTH)


def _write(writer: GGUFWriter, tensors: Mapping[str, tuple[int, ...]], seed: int) -> Path:
    random = np.random.default_rng(seed)
    for name, shape in tensors.items():
        values: NDArray[np.floating] = random.standard_normal(shape) * 0.2
        if len(shape) == 1 and "weight" in name:
            values = np.ones(shape)
        writer.add_tensor(name, values.astype(np.float16 if "conv1d" in name and len(shape) == 3 else np.float32))
    writer.add_file_type(0)
    assert writer.path is not None
    return _close(writer, writer.path)


def _close(writer: GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)
