"""GGUF files: a bounded header reader, what a header says about a model, and the memory it will take.

Our own reader, because none in Python survives hostile files: spec §14 lists what was done with crafted headers.
"""

from __future__ import annotations

from ollama_engine.gguf.capabilities import template_capabilities
from ollama_engine.gguf.header import ArrayRef, Header, Tensor, read_header
from ollama_engine.gguf.memory import ModelMemory, model_memory
from ollama_engine.gguf.metadata import ModelMetadata, format_parameters, model_metadata, read_metadata
from ollama_engine.gguf.model_info import model_info, tensor_infos
from ollama_engine.gguf.shards import find_shards, merge_shards, read_model

__all__ = [
    "ArrayRef",
    "Header",
    "ModelMemory",
    "ModelMetadata",
    "Tensor",
    "find_shards",
    "format_parameters",
    "merge_shards",
    "model_info",
    "model_memory",
    "model_metadata",
    "read_header",
    "read_metadata",
    "read_model",
    "template_capabilities",
    "tensor_infos",
]
