"""Named templates: what they write, and which weights get which."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFWriter

from ollama_engine.gguf import model_metadata, read_header
from ollama_engine.prompt.presets import PRESETS, detect_preset
from ollama_engine.prompt.render import GoChat
from ollama_engine.types import Message

TALK = [Message("system", "S"), Message("user", "A"), Message("assistant", "B"), Message("user", "C")]
WRITTEN = {
    "chatml": "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n"
    "<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\n",
    "llama3": "<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nA"
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nB<|eot_id|><|start_header_id|>user<|end_header_id|>"
    "\n\nC<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "phi3": "<|system|>\nS<|end|>\n<|user|>\nA<|end|>\n<|assistant|>\nB<|end|>\n<|user|>\nC<|end|>\n<|assistant|>\n",
    "zephyr": "<|system|>\nS</s>\n<|user|>\nA</s>\n<|assistant|>\nB</s>\n<|user|>\nC</s>\n<|assistant|>\n",
    "command-r": "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>S<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|USER_TOKEN|>A"
    "<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>B<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|>"
    "<|USER_TOKEN|>C<|END_OF_TURN_TOKEN|><|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "gemma": "<start_of_turn>user\nS\n\nA<end_of_turn>\n<start_of_turn>model\nB<end_of_turn>\n<start_of_turn>user\nC"
    "<end_of_turn>\n<start_of_turn>model\n",
    "llama2": "[INST] <<SYS>>\nS\n<</SYS>>\n\nA [/INST] B </s><s>[INST] C [/INST] ",
    "mistral": "[INST] S\n\nA [/INST] B</s>[INST] C [/INST] ",
    "vicuna": "S\n\nUSER: A\nASSISTANT: B</s>\nUSER: C\nASSISTANT: ",
    "alpaca": "S\n\n### Instruction:\nA\n\n### Response:\nB\n\n### Instruction:\nC\n\n### Response:\n",
}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_writes_a_conversation_up_to_the_answer(name: str) -> None:
    assert GoChat(PRESETS[name].template).render(TALK) == WRITTEN[name]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_an_answer_that_was_begun_goes_on(name: str) -> None:
    assert GoChat(PRESETS[name].template).render(TALK[:3]).endswith("B")


STOPS = {
    "chatml": {"<|im_start|>", "<|im_end|>"},
    "llama3": {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
    "phi3": {"<|end|>", "<|system|>", "<|user|>", "<|assistant|>"},
    "zephyr": {"<|system|>", "<|user|>", "<|assistant|>", "</s>"},
    "command-r": {"<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"},
    "gemma": {"<start_of_turn>", "<end_of_turn>"},
    "llama2": {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"},
    "mistral": {"[INST]", "[/INST]"},
    "vicuna": {"USER:", "ASSISTANT:", "</s>"},
    "alpaca": {"### Instruction:", "### Response:"},
}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_what_opens_or_closes_a_turn_ends_an_answer(name: str) -> None:
    assert set(PRESETS[name].stop) == STOPS[name]
    assert all(stop in WRITTEN[name] for stop in PRESETS[name].stop)


def vocabulary(path: Path, tokens: list[str], name: str, finetune: str = "") -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_name(name)
    if finetune:
        writer.add_finetune(finetune)
    writer.add_token_list(["a", "b", "</s>", *tokens])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("tokens", "name", "preset"),
    [
        (["<|im_start|>", "<|im_end|>"], "x", "chatml"),
        (["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], "x", "llama3"),
        (["<|user|>", "<|assistant|>", "<|end|>"], "x", "phi3"),
        (["<|user|>", "<|assistant|>"], "x", "zephyr"),
        (["<start_of_turn>", "<end_of_turn>"], "x", "gemma"),
        (["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"], "x", "command-r"),
        (["[INST]", "[/INST]"], "x", "mistral"),
        ([], "Llama 2 7B Chat", "llama2"),
        ([], "Mistral 7B Instruct v0.1", "mistral"),
        ([], "vicuna-7b-v1.5", "vicuna"),
        ([], "Alpaca", "alpaca"),
        ([], "Llama 2 7B", None),
        (["<|im_start|>"], "x", None),
    ],
)
def test_the_preset_is_told_from_tokens_then_from_names(
    tokens: list[str], name: str, preset: str | None, tmp_path: Path
) -> None:
    header = read_header(vocabulary(tmp_path / "v.gguf", tokens, name))
    found = detect_preset(header, model_metadata(header))
    assert (found.name if found else None) == preset


def test_what_calls_itself_a_base_model_gets_none(tmp_path: Path) -> None:
    header = read_header(vocabulary(tmp_path / "v.gguf", ["<|im_start|>", "<|im_end|>"], "x", "Base"))
    assert detect_preset(header, model_metadata(header)) is None


VOCAB = Path(__file__).parents[4] / "shared/models/vocab"


@pytest.mark.parametrize(
    ("file", "preset"),
    [("llama-bpe", "llama3"), ("qwen2", "chatml"), ("phi-3", "phi3"), ("gpt-2", None), ("llama-spm", None)],
)
def test_real_vocabularies(file: str, preset: str | None) -> None:
    path = VOCAB / f"ggml-vocab-{file}.gguf"
    if not path.exists():
        pytest.skip("shared/models/vocab is not beside the checkout")
    header = read_header(path)
    found = detect_preset(header, model_metadata(header))
    assert (found.name if found else None) == preset
