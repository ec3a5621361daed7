"""The tokens that stand around a hole to fill in (fill-in-the-middle), as llama.cpp finds them (llama-vocab.cpp).

`list` asks of every model whether it has them, so the vocabulary is searched as bytes and never made into strings.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollama_engine.gguf.header import ArrayRef, Header
from ollama_engine.gguf.vocabulary import VOCABULARY, find_tokens

_KEYS = (
    ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"),
    ("tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"),
    ("tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"),
)
"""The key of today and the older one of each token."""

_SPELLINGS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    ("<PRE>", "<SUF>", "<MID>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),  # CodeLlama
    ("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),  # GLM
    ("<|prefix|>", "<|suffix|>", "<|middle|>"),  # Falcon
)


@dataclass(frozen=True)
class Infill:
    """The tokens before the text in front of the hole, before the text behind it, and before the answer.

    `texts` is how the vocabulary spells them.
    """

    prefix: int
    suffix: int
    middle: int
    texts: tuple[str, str, str]


def infill_tokens(header: Header) -> Infill | None:
    """By the metadata's keys, else by the tokens' texts; None where the vocabulary does not have all three."""
    vocabulary = header.metadata.get(VOCABULARY)
    if not isinstance(vocabulary, ArrayRef) or vocabulary.type != "string":
        return None
    told = [_told(header, keys, vocabulary.count) for keys in _KEYS]
    open_places = [place for place, token in enumerate(told) if token is None]
    if not open_places:
        return _infill(header, told)
    last = open_places[-1]
    # Most vocabularies have none of these: one text of each spelling is enough to know.
    begun = find_tokens(header, [spelling[last] for spelling in _SPELLINGS])
    for spelling in (spelling for spelling in _SPELLINGS if spelling[last] in begun):
        found = find_tokens(header, [spelling[place] for place in open_places])
        if len(found) == len(open_places):
            return _infill(header, [found[text] if told[n] is None else told[n] for n, text in enumerate(spelling)])
    return None


def _infill(header: Header, tokens: list[int | None]) -> Infill:
    prefix, suffix, middle = (token or 0 for token in tokens)
    texts = (header.token(prefix) or "", header.token(suffix) or "", header.token(middle) or "")
    return Infill(prefix, suffix, middle, texts)


def _told(header: Header, keys: tuple[str, ...], size: int) -> int | None:
    """What a key says. Converters write 2**32 - 1 for none, and llama.cpp passes over what is not in the vocabulary."""
    return next((token for key in keys if 0 <= (token := header.integer(key, -1)) < size), None)
