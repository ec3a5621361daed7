"""Small GGUF files to compile and to make layers of: weights of a chosen architecture, projectors, adapters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter


def weights(path: Path, *, architecture: str = "llama", tensors: int = 1, fill: float = 0.0) -> Path:
    """A model as far as its header says: 64 parameters a tensor, context 128, embedding 8."""
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(8)
    writer.add_file_type(0)
    for number in range(tensors):
        writer.add_tensor(f"blk.{number}.weight", np.full((8, 8), fill, dtype=np.float32))
    return _written(writer, path)


def projector(path: Path, *, audio: bool = False) -> Path:
    writer = GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", not audio)
    writer.add_bool("clip.has_audio_encoder", audio)
    writer.add_tensor("mm.0.weight", np.ones((4, 4), dtype=np.float32))
    return _written(writer, path)


def adapter(path: Path, *, architecture: str = "llama", width: int = 8, fill: float = 1.0) -> Path:
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0)
    writer.add_tensor("blk.0.weight.lora_a", np.full((2, width), fill, dtype=np.float32))
    writer.add_tensor("blk.0.weight.lora_b", np.ones((8, 2), dtype=np.float32))
    return _written(writer, path)


def _written(writer: GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
