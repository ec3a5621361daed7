"""Which adapters go with which models, told from the headers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter

from ollama_engine.errors import InvalidRequest
from ollama_engine.gguf import read_header
from ollama_engine.modelfile.adapters import check_adapter, check_scales

WEIGHTS = {
    "token_embd.weight": (100, 8),
    "blk.0.attn_q.weight": (16, 8),
    "blk.0.ffn_up_exps.weight": (3, 16, 8),
    "output.weight": (100, 8),
}
"""Row-major, as numpy has them: rows x columns."""

Q = {"blk.0.attn_q.weight.lora_a": (2, 8), "blk.0.attn_q.weight.lora_b": (16, 2)}
EMBEDDINGS = {"token_embd.weight.lora_a": (100, 2), "token_embd.weight.lora_b": (8, 2)}
EXPERTS = {"blk.0.ffn_up_exps.weight.lora_a": (3, 2, 8), "blk.0.ffn_up_exps.weight.lora_b": (3, 16, 2)}


def write(path: Path, shapes: dict[str, tuple[int, ...]], kind: str = "lora", *, alora: bool = False) -> Path:
    writer = GGUFWriter(path, "llama")
    if kind:
        writer.add_type("adapter")
        writer.add_string("adapter.type", kind)
    if alora:
        writer.add_array("adapter.alora.invocation_tokens", [1, 2])
    for name, shape in shapes.items():
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def check(
    folder: Path,
    adapter: dict[str, tuple[int, ...]],
    weights: dict[str, tuple[int, ...]] = WEIGHTS,
    kind: str = "lora",
    *,
    alora: bool = False,
) -> None:
    model = read_header(write(folder / "m.gguf", weights, ""))
    check_adapter("a.gguf", read_header(write(folder / "a.gguf", adapter, kind, alora=alora)), model)


@pytest.mark.parametrize("adapter", [Q, EMBEDDINGS, EXPERTS, Q | {"blk.0.attn_norm.weight": (8,)}])
def test_an_adapter_whose_halves_fit_its_weights_goes_with_the_model(
    adapter: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    check(tmp_path, adapter)


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ({}, "the adapter a.gguf has no lora_a and lora_b tensors"),
        ({"blk.0.attn_q.weight.lora_b": (16, 2)}, "the adapter a.gguf has only lora_b of blk.0.attn_q.weight"),
        (
            {"blk.9.attn_q.weight.lora_a": (2, 8), "blk.9.attn_q.weight.lora_b": (16, 2)},
            "the adapter a.gguf changes blk.9.attn_q.weight, which the model does not have",
        ),
        (
            Q | {"blk.0.attn_q.weight.lora_a": (2, 16)},
            "the adapter a.gguf does not fit the model: blk.0.attn_q.weight is 8 x 16 there, lora_a 16 x 2",
        ),
        (Q | {"blk.0.attn_q.weight.lora_b": (8, 2)}, "the adapter a.gguf does not fit the model"),
        (Q | {"blk.0.attn_q.weight.lora_a": (4, 8)}, "the adapter a.gguf does not fit the model"),
        (EMBEDDINGS | {"token_embd.weight.lora_a": (100, 4)}, "the adapter a.gguf does not fit the model"),
        (EXPERTS | {"blk.0.ffn_up_exps.weight.lora_a": (2, 2, 8)}, "the adapter a.gguf does not fit the model"),
        (Q | {"blk.0.attn_q.bias": (16,)}, "the adapter a.gguf has a tensor blk.0.attn_q.bias, which is no half"),
    ],
)
def test_one_that_does_not_is_refused_with_the_tensor(
    adapter: dict[str, tuple[int, ...]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(tmp_path, adapter)
    assert caught.value.message.startswith(message)
    assert caught.value.hint


def test_other_kinds_of_adapters_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="of type 'dora', not lora"):
        check(tmp_path, Q, kind="dora")
    with pytest.raises(InvalidRequest, match="an activated one"):
        check(tmp_path, Q, alora=True)


def test_embeddings_that_are_the_output_too_cannot_be_changed(tmp_path: Path) -> None:
    tied = {name: shape for name, shape in WEIGHTS.items() if name != "output.weight"}
    check(tmp_path, Q, tied)
    with pytest.raises(InvalidRequest, match=r"changes token_embd\.weight, by which the model also chooses its answer"):
        check(tmp_path, EMBEDDINGS, tied)


def test_there_are_no_more_scales_than_adapters() -> None:
    check_scales([], 2)
    check_scales([1.0, 2.0], 2)
    with pytest.raises(InvalidRequest, match="2 adapter_scale for 1 adapters"):
        check_scales([1.0, 2.0], 1)
