"""The tokens that stand around a hole to fill in (fill-in-the-middle), as llama.cpp finds them (llama-vocab.cpp)."""

from __future__ import annotations

from ollama_engine.gguf.header import ArrayRef, Header

_KEYS = (
    ("tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"),
    ("tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"),
    ("tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"),
)
_TEXTS = tuple(
    frozenset((f"<|fim_{word}|>", f"<fim-{word}>", f"<fim_{word}>", f"<|code_{word}|>", f"<|{word}|>", *others))
    for word, others in (
        ("prefix", ("<｜fim▁begin｜>", "<PRE>", "▁<PRE>")),
        ("suffix", ("<｜fim▁hole｜>", "<SUF>", "▁<SUF>")),
        ("middle", ("<｜fim▁end｜>", "<MID>", "▁<MID>")),
    )
)


def infill_tokens(header: Header) -> tuple[int, int, int] | None:
    """Ids of the tokens before the text in front of the hole, before the text behind it, and before the answer.

    By the metadata's keys, else by the tokens' texts; None where the vocabulary does not have all three.
    """
    vocabulary = header.metadata.get("tokenizer.ggml.tokens")
    size = vocabulary.count if isinstance(vocabulary, ArrayRef) and vocabulary.type == "string" else 0
    found = [next((n for key in keys if 0 <= (n := header.integer(key, -1)) < size), -1) for keys in _KEYS]
    if size and -1 in found:
        texts = frozenset().union(*_TEXTS)
        for index, token in enumerate(header.array("tokenizer.ggml.tokens")):
            if token in texts:
                place = next(n for n, known in enumerate(_TEXTS) if token in known)
                found[place] = index if found[place] < 0 else found[place]
    return None if -1 in found else (found[0], found[1], found[2])
