"""Named chat templates for weights that bring none, and how the one that fits is told (spec §8.2).

`create` chooses one from the names in the metadata and the special tokens of the vocabulary. Weights that have no chat
tokens and no telling name are base models: they get none, and their prompt is what the user writes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ollama_engine.errors import InvalidRequest
from ollama_engine.gguf import Header, ModelMetadata

AUTODETECT = "auto"


@dataclass(frozen=True)
class Preset:
    """A Go template and the strings that end an answer under it."""

    name: str
    template: str
    stop: tuple[str, ...]


def _turns(opening: str, closing: str, answer: str) -> str:
    """A template of turns that all look the same. Where the last one is the assistant's, the answer goes on from it."""
    return (
        "{{- range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        + opening
        + '{{ .Content }}{{ if not (and $last (eq .Role "assistant")) }}'
        + closing
        + "{{ end }}"
        + '{{ if and $last (ne .Role "assistant") }}'
        + answer
        + "{{ end }}{{ end }}"
    )


def _instructions(before: str, system: str, after: str, closing: str) -> str:
    """A template of questions and answers, in which the system text is the beginning of the first question."""
    return (
        "{{- $system := .System }}{{ range $i, $_ := .Messages }}{{ $last := eq (len (slice $.Messages $i)) 1 }}"
        '{{ if eq .Role "assistant" }}{{ .Content }}{{ if not $last }}'
        + closing
        + '{{ end }}{{ else if ne .Role "system" }}'
        + before
        + "{{ if $system }}"
        + system
        + '{{ $system = "" }}{{ end }}{{ .Content }}'
        + after
        + "{{ end }}{{ end }}"
    )


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "chatml",
            _turns("<|im_start|>{{ .Role }}\n", "<|im_end|>\n", "<|im_start|>assistant\n"),
            ("<|im_start|>", "<|im_end|>"),
        ),
        Preset(
            "llama3",
            _turns(
                "<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n",
                "<|eot_id|>",
                "<|start_header_id|>assistant<|end_header_id|>\n\n",
            ),
            ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        ),
        Preset(
            "phi3",
            _turns("<|{{ .Role }}|>\n", "<|end|>\n", "<|assistant|>\n"),
            ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>"),
        ),
        Preset(
            "zephyr",
            _turns("<|{{ .Role }}|>\n", "</s>\n", "<|assistant|>\n"),
            ("<|system|>", "<|user|>", "<|assistant|>", "</s>"),
        ),
        Preset(
            "command-r",
            _turns(
                '<|START_OF_TURN_TOKEN|>{{ if eq .Role "system" }}<|SYSTEM_TOKEN|>{{ else if eq .Role "assistant" }}'
                "<|CHATBOT_TOKEN|>{{ else }}<|USER_TOKEN|>{{ end }}",
                "<|END_OF_TURN_TOKEN|>",
                "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
            ),
            ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
        ),
        Preset(
            "gemma",
            _instructions(
                "<start_of_turn>user\n",
                "{{ $system }}\n\n",
                "<end_of_turn>\n<start_of_turn>model\n",
                "<end_of_turn>\n",
            ),
            ("<start_of_turn>", "<end_of_turn>"),
        ),
        Preset(
            "llama2",
            _instructions("[INST] ", "<<SYS>>\n{{ $system }}\n<</SYS>>\n\n", " [/INST] ", " </s><s>"),
            ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
        ),
        Preset(
            "mistral",
            _instructions("[INST] ", "{{ $system }}\n\n", " [/INST] ", "</s>"),
            ("[INST]", "[/INST]"),
        ),
        Preset(
            "vicuna",
            "{{ if .System }}{{ .System }}\n\n{{ end }}" + _instructions("USER: ", "", "\nASSISTANT: ", "</s>\n"),
            ("USER:", "ASSISTANT:", "</s>"),
        ),
        Preset(
            "alpaca",
            "{{ if .System }}{{ .System }}\n\n{{ end }}"
            + _instructions("### Instruction:\n", "", "\n\n### Response:\n", "\n\n"),
            ("### Instruction:", "### Response:"),
        ),
    )
}

_BY_TOKENS = (
    ("llama3", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
    ("chatml", ("<|im_start|>", "<|im_end|>")),
    ("gemma", ("<start_of_turn>", "<end_of_turn>")),
    ("command-r", ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>")),
    ("phi3", ("<|user|>", "<|assistant|>", "<|end|>")),
    ("zephyr", ("<|user|>", "<|assistant|>", "</s>")),
    ("mistral", ("[INST]", "[/INST]")),
)
"""A preset, and the tokens that a vocabulary made for it has, all of them; the first that fits counts."""

_BY_NAME = (
    ("vicuna", ("vicuna",)),
    ("alpaca", ("alpaca",)),
    ("zephyr", ("zephyr",)),
    ("zephyr", ("tinyllama", "chat")),
    ("llama2", ("llama2", "chat")),
    ("mistral", ("mistral", "instruct")),
    ("mistral", ("mixtral", "instruct")),
)
"""A preset, and the words that a name holds, all of them: these models have no tokens of their own for turns."""

_NAMES = ("general.name", "general.basename", "general.finetune")


def find_preset(name: str) -> Preset | None:
    """The preset of that name, None for no name and for `auto`; InvalidRequest lists them."""
    if name in ("", AUTODETECT):
        return None
    if name not in PRESETS:
        raise InvalidRequest(
            f"there is no template named {name!a}", hint=f"Templates are: {AUTODETECT}, {', '.join(sorted(PRESETS))}."
        )
    return PRESETS[name]


def detect_preset(header: Header, metadata: ModelMetadata, file_name: str = "") -> Preset | None:
    """The preset that the weights seem to be trained on; None for base models and for those that only embed.

    `file_name` is what the file was called, which tells what a converter left out of the metadata.
    """
    names = [header.text(key).lower() for key in _NAMES]
    if "completion" not in metadata.capabilities or names[2] == "base":
        return None
    vocabulary = {token for token in header.array("tokenizer.ggml.tokens") if isinstance(token, str)}
    by_tokens = (name for name, tokens in _BY_TOKENS if vocabulary.issuperset(tokens))
    found = next(by_tokens, None) or _by_name([*names, file_name.lower()])
    return PRESETS[found] if found else None


def _by_name(names: Collection[str]) -> str | None:
    text = " ".join(names).replace("llama-2", "llama2").replace("llama 2", "llama2").replace("llama_2", "llama2")
    return next((name for name, words in _BY_NAME if all(word in text for word in words)), None)
