"""What a header says about a model: sizes, names, tokens, templates, capabilities, JSON, memory."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import msgspec
import pytest
from gguf import GGMLQuantizationType

from ollama_engine.gguf import (
    Header,
    ModelMetadata,
    format_parameters,
    model_info,
    model_metadata,
    read_header,
    read_metadata,
    template_capabilities,
    tensor_infos,
)
from tests.support import gguf_bytes as b
from tests.support.gguf_models import CHATML, TINY, random_model, scripted_model

SHARED = Path(__file__).parents[4] / "shared"
ARCHITECTURE = b.text("general.architecture", "llama")


def header(tmp_path: Path, *pairs: bytes, tensors: tuple[bytes, ...] = (), data: int = 0) -> Header:
    path = tmp_path / "model.gguf"
    path.write_bytes(b.gguf([ARCHITECTURE, *pairs], tensors, data=data))
    return read_header(path)


def metadata(tmp_path: Path, *pairs: bytes, tensors: tuple[bytes, ...] = (), data: int = 0) -> ModelMetadata:
    return model_metadata(header(tmp_path, *pairs, tensors=tensors, data=data))


def test_a_model_describes_itself(tmp_path: Path) -> None:
    path = random_model(tmp_path / "random.gguf", **TINY, context_length=2048, name="Tiny")
    found = read_metadata(path)
    assert (found.architecture, found.name, found.quantization_level) == ("llama", "Tiny", "F16")
    assert (found.context_length, found.embedding_length, found.block_count) == (2048, 64, 2)
    assert (found.head_count, found.head_count_kv) == ((4,), (2,))
    assert (found.key_length, found.value_length) == (16, 16)
    assert found.vocab_size == 259
    assert (found.bos_token, found.eos_token, found.add_bos) == ("<|endoftext|>", "<|im_end|>", False)
    assert found.chat_template == CHATML
    assert found.capabilities == ("completion",)
    matrices = 259 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 128)
    norms = 5 * 64
    assert found.parameter_count == matrices + norms
    assert found.weights_bytes == 2 * matrices + 4 * norms
    assert found.parameter_size == "91K"


def test_details_are_what_the_wire_shows(tmp_path: Path) -> None:
    details = read_metadata(scripted_model(tmp_path / "scripted.gguf", "yes", context_length=512)).details
    assert msgspec.to_builtins(details) == {
        "parent_model": "",
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": format_parameters(read_metadata(tmp_path / "scripted.gguf").parameter_count),
        "quantization_level": "F16",
        "context_length": 512,
        "embedding_length": 64,
    }


def test_the_bundled_model_describes_itself() -> None:
    path = SHARED / "models" / "bard" / "bard-q8_0.gguf"
    if not path.exists():
        pytest.skip("shared/models/bard does not lie beside this checkout")
    found = read_metadata(path)
    assert (found.name, found.parameter_size, found.quantization_level) == ("Bard", "3.80M", "Q8_0")
    assert (found.context_length, found.vocab_size, found.eos_token) == (512, 1024, "<|im_end|>")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (22_000, "22K"),
        (1_000_000, "1M"),
        (137_000_000, "137M"),
        (494_032_768, "494.03M"),
        (1_000_000_000, "1B"),
        (7_615_616_512, "7.6B"),
        (70_553_706_496, "70.6B"),
    ],
)
def test_parameter_counts_are_written_as_ollama_does(count: int, text: str) -> None:
    assert format_parameters(count) == text


@pytest.mark.parametrize(
    ("number", "name"), [(0, "F32"), (2, "Q4_0"), (15, "Q4_K_M"), (38, "MXFP4"), (1024 + 7, "Q8_0"), (500, "unknown")]
)
def test_the_file_type_names_the_quantization(tmp_path: Path, number: int, name: str) -> None:
    assert metadata(tmp_path, b.number("general.file_type", number)).quantization_level == name


def test_without_a_file_type_most_weights_name_the_quantization(tmp_path: Path) -> None:
    tensors = (
        b.tensor("norm", (32,)),
        b.tensor("norm2", (32,), offset=128),
        b.tensor("w", (256, 1), kind=12, offset=256),
    )
    assert metadata(tmp_path, tensors=tensors, data=400).quantization_level == "Q4_K"
    assert metadata(tmp_path).quantization_level == "unknown"


def test_named_templates_stand_beside_the_default(tmp_path: Path) -> None:
    found = metadata(
        tmp_path,
        b.text("tokenizer.chat_template", "default"),
        b.text("tokenizer.chat_template.tool_use", "uses {{ tools }}"),
    )
    assert found.chat_template == "default"
    assert dict(found.named_templates) == {"tool_use": "uses {{ tools }}"}
    assert found.capabilities == ("completion", "tools")


@pytest.mark.parametrize("number", [2**32 - 1, 7])
def test_a_token_that_is_not_there_is_empty(tmp_path: Path, number: int) -> None:
    found = metadata(tmp_path, b.tokens(["a"]), b.number("tokenizer.ggml.bos_token_id", number))
    assert found.bos_token == ""
    assert found.eos_token_id is None


def test_capabilities_of_other_kinds_of_model(tmp_path: Path) -> None:
    assert metadata(tmp_path, b.number("llama.pooling_type", 1)).capabilities == ("embedding",)
    assert metadata(tmp_path, b.number("llama.vision.block_count", 1)).capabilities == ("completion", "vision")
    path = tmp_path / "mmproj.gguf"
    pairs = [b.text("general.architecture", "clip"), b.pair("clip.has_audio_encoder", b.BOOL, b"\1")]
    path.write_bytes(b.gguf([*pairs, b.number("clip.vision.block_count", 1)]))
    assert read_metadata(path).capabilities == ("vision", "audio")
    path.write_bytes(b.gguf([b.text("general.architecture", "gpt-oss")]))
    assert read_metadata(path).capabilities == ("completion", "thinking")


@pytest.mark.parametrize(
    ("template", "capabilities"),
    [
        (CHATML, ()),
        ("{% if tools %}", ("tools",)),
        ("{{ message.tool_calls }}", ("tools",)),
        ("<think>{{ thinking }}</think>", ("thinking",)),
        ("{{ '<think>' }}", ()),
        ("{% set content = content.split('</think>')[-1] %}", ("thinking",)),
        ('{{ tools }}{{ c.split( "</think>" ) }}', ("tools", "thinking")),
    ],
)
def test_templates_show_tools_and_thinking(template: str, capabilities: tuple[str, ...]) -> None:
    assert template_capabilities(template) == capabilities


@pytest.mark.parametrize(
    ("name", "capabilities"),
    [
        ("Qwen-Qwen3-0.6B", ("tools", "thinking")),
        ("meta-llama-Llama-3.1-8B-Instruct", ("tools",)),
        ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", ("tools", "thinking")),
        ("google-gemma-2-2b-it", ()),
    ],
)
def test_templates_of_real_models_show_tools_and_thinking(name: str, capabilities: tuple[str, ...]) -> None:
    path = SHARED / "vectors" / "chat_templates" / f"{name}.jinja"
    if not path.exists():
        pytest.skip("shared/vectors does not lie beside this checkout")
    assert template_capabilities(path.read_text(encoding="utf-8")) == capabilities


def test_model_info_is_the_metadata_as_json(tmp_path: Path) -> None:
    found = header(
        tmp_path,
        b.text("general.name", "left out"),
        b.text("tokenizer.chat_template", "left out"),
        b.pair("llama.eps", b.F32, struct.pack("<f", 1e-6)),
        b.pair("llama.endless", b.F32, struct.pack("<f", math.inf)),
        b.array("llama.five", b.F32, struct.pack("<5f", 0.1, 2, 3, 4, math.nan), 5),
        b.array("llama.six", b.U8, bytes(range(6)), 6),
        tensors=(b.tensor("w", (32, 2), kind=8),),
        data=68,
    )
    short = {
        "general.architecture": "llama",
        "general.parameter_count": 64,
        "llama.endless": None,
        "llama.eps": 1e-06,
        "llama.five": [0.1, 2.0, 3.0, 4.0, None],
        "llama.six": [],
    }
    assert model_info(found) == short
    assert list(model_info(found)) == sorted(short)
    assert model_info(found, verbose=True) == {**short, "llama.six": [0, 1, 2, 3, 4, 5]}
    assert msgspec.to_builtins(tensor_infos(found)) == [{"name": "w", "type": "Q8_0", "shape": [32, 2]}]


def test_quantized_weights_are_counted_as_stored(tmp_path: Path) -> None:
    f16 = read_metadata(random_model(tmp_path / "a.gguf", **TINY))
    q8 = read_metadata(random_model(tmp_path / "b.gguf", **TINY, weights=GGMLQuantizationType.Q8_0))
    assert q8.parameter_count == f16.parameter_count
    assert q8.quantization_level == "Q8_0"
    assert 0.5 < q8.weights_bytes / f16.weights_bytes < 0.55
