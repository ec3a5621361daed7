"""Makes small GGUF models that real llama.cpp loads: ones that say what a test wants, and random weights.

A *scripted* model is a llama-architecture model whose attention and feed-forward are zero, so that the next
token depends on the last one alone: the embedding of a token is a one-hot state, the output matrix gives that
state's successor a logit far above all others. Its answer is exact at any temperature and after any prompt.
A *many-scripts* model holds several such texts, and the last token of the prompt says which one comes.
A *looping* model is the same with the last piece leading back to the first: it never ends by itself.
A *random* model has the weights of no training at all: right sizes, right speed, meaningless words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, TokenType
from gguf.quants import quant_shape_to_byte_shape, quantize

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
BOS_ID, EOS_ID = 256, 258
"""In the vocabularies made here: `<|endoftext|>` and `<|im_end|>`, right after the 256 bytes."""

MAX_PIECES = 1000
"""A scripted model is as wide as its text has pieces; longer texts get longer pieces, not a wider model."""


class Shape(TypedDict):
    """The sizes of a llama model, as `random_model(path, **TINY)` takes them."""

    n_layer: int
    width: int
    ff: int
    heads: int
    kv_heads: int


TINY: Shape = {"n_layer": 2, "width": 64, "ff": 128, "heads": 4, "kv_heads": 2}
M135: Shape = {"n_layer": 30, "width": 576, "ff": 1536, "heads": 9, "kv_heads": 3}
B1: Shape = {"n_layer": 16, "width": 2048, "ff": 8192, "heads": 32, "kv_heads": 8}


def scripted_model(
    path: Path,
    text: str,
    *,
    split: int = 3,
    template: str | None = CHATML,
    context_length: int = 4096,
    name: str = "scripted",
) -> Path:
    """A model that answers any prompt with exactly `text` and then ends.

    `split` is the size of a token in bytes: pieces cut inside a character are wanted, they are what a
    streaming decoder must survive. A text of a single byte is that byte's own token, so a raw prompt ending
    in the same byte ends at once.
    """
    pieces = cut(text.encode(), split)
    successors = [*range(1, len(pieces)), None]
    return _write_transitions(Path(path), pieces, successors, template, context_length, name)


def many_scripts_model(
    path: Path,
    scripts: Sequence[Sequence[bytes]],
    *,
    template: str | None = CHATML,
    context_length: int = 4096,
    name: str = "scripts",
) -> Path:
    """A model that answers with the pieces of `scripts[k]`, a token each, where the prompt ends with `selector(k)`.

    What comes after a piece depends on it alone: one that is in two places must go on alike in both, else ValueError.
    """
    following: dict[bytes, bytes | None] = {}
    for script in scripts:
        for piece, after in zip(script, [*script[1:], None], strict=True):
            if following.setdefault(piece, after) != after:
                raise ValueError(f"the piece {piece!r} goes on in two ways")
    pieces = list(following)
    successors = [None if after is None else pieces.index(after) for after in following.values()]
    starts = [pieces.index(script[0]) for script in scripts]
    return _write_transitions(Path(path), pieces, successors, template, context_length, name, starts)


def selector(k: int) -> str:
    """What a prompt ends with that wants the k-th of many scripts."""
    return f"<|script-{k}|>"


def looping_model(
    path: Path,
    phrase: str = "round and round it goes, ",
    *,
    split: int = 3,
    template: str | None = CHATML,
    context_length: int = 4096,
    name: str = "looping",
) -> Path:
    """A model that repeats `phrase` (two bytes or more): only a limit, a stop string or a cancel ends it."""
    pieces = cut(phrase.encode(), split)
    if not pieces or len(pieces[0]) < 2:
        raise ValueError("a looping model needs a phrase of two bytes or more")
    successors = [*range(1, len(pieces)), 0]
    return _write_transitions(Path(path), pieces, successors, template, context_length, name)


def random_model(
    path: Path,
    *,
    n_layer: int,
    width: int,
    ff: int,
    heads: int,
    kv_heads: int,
    context_length: int = 4096,
    seed: int = 0,
    template: str | None = CHATML,
    vocab: Path | None = None,
    weights: GGMLQuantizationType = GGMLQuantizationType.F16,
    name: str = "random",
) -> Path:
    """Random weights of the given shape: `random_model(path, **TINY)`.

    `vocab` is a GGUF whose tokenizer is copied; without it the vocabulary is the 256 bytes and `SPECIALS`.
    Matrices are stored as `weights` (F32, F16, Q8_0, Q4_0 …; rows must be whole blocks), norms as F32.
    """
    writer = GGUFWriter(path, "llama")
    writer.add_name(name)
    tokens = copy_tokenizer(writer, vocab) if vocab else add_byte_tokenizer(writer, [])
    add_shape(writer, n_layer, width, ff, heads, kv_heads, context_length, tokens)
    writer.add_rope_dimension_count(width // heads)
    writer.add_file_type(_FILE_TYPES[weights])
    if template is not None:
        writer.add_chat_template(template)

    shapes = dict(llama_tensors(n_layer, width, ff, heads, kv_heads, tokens))
    for tensor, shape in shapes.items():
        stored = weights if len(shape) == 2 else GGMLQuantizationType.F32
        byte_shape = quant_shape_to_byte_shape(shape, stored)
        writer.add_tensor_info(tensor, byte_shape, np.dtype(np.uint8), int(np.prod(byte_shape)), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(seed)
    for shape in shapes.values():
        if len(shape) == 1:
            writer.write_tensor_data(np.ones(shape, np.float32))
        else:
            values = random.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
            writer.write_tensor_data(quantize(values, weights))
    writer.close()
    return Path(path)


def cut(data: bytes, size: int) -> list[bytes]:
    """Cut into pieces that are all different, of `size` bytes or more (long or repetitive data)."""
    size = max(size, 2, -(-len(data) // MAX_PIECES))
    seen = {special.encode() for special in SPECIALS}
    pieces: list[bytes] = []
    start = 0
    while start < len(data):
        length = size
        while data[start : start + length] in seen and start + length < len(data):
            length += 1
        piece = data[start : start + length]
        start += length
        while pieces and (len(piece) < 2 or piece in seen):
            seen.discard(pieces[-1])
            piece = pieces.pop() + piece
        seen.add(piece)
        pieces.append(piece)
    if data.decode(errors="replace") in SPECIALS:
        return [data[:5], data[5:]]
    return pieces


_FILE_TYPES = {
    GGMLQuantizationType.F32: 0,
    GGMLQuantizationType.F16: 1,
    GGMLQuantizationType.Q4_0: 2,
    GGMLQuantizationType.Q4_1: 3,
    GGMLQuantizationType.Q8_0: 7,
    GGMLQuantizationType.Q5_0: 8,
    GGMLQuantizationType.Q5_1: 9,
    GGMLQuantizationType.BF16: 32,
}


def _write_transitions(
    path: Path,
    pieces: Sequence[bytes],
    successors: Sequence[int | None],
    template: str | None,
    context_length: int,
    name: str,
    starts: Sequence[int] = (),
) -> Path:
    """State k means "piece k comes next"; any token that is no piece leads to state 0, None to the end.

    `starts` are states that a selector's token leads to, each.
    """
    head = 64
    width = max(64, -(-(len(pieces) + 1) // 64) * 64)
    writer = GGUFWriter(path, "llama")
    writer.add_name(name)
    tokens = add_byte_tokenizer(
        writer, [piece for piece in pieces if len(piece) > 1], list(map(selector, range(len(starts))))
    )
    add_shape(writer, 1, width, 64, 1, 1, context_length, tokens)
    writer.add_rope_dimension_count(head)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_file_type(_FILE_TYPES[GGMLQuantizationType.F16])
    if template is not None:
        writer.add_chat_template(template)

    own = iter(range(256 + len(SPECIALS), tokens))
    ids = [next(own) if len(piece) > 1 else piece[0] for piece in pieces]
    end = len(pieces)
    embedding = np.zeros((tokens, width), np.float16)
    output = np.zeros((tokens, width), np.float16)
    embedding[:, 0] = 1
    for state, (token, successor) in enumerate(zip(ids, successors[: len(ids)], strict=True)):
        embedding[token] = 0
        embedding[token, end if successor is None else successor] = 1
        output[token, state] = 10
    output[EOS_ID, end] = 10
    for token, state in zip(range(tokens - len(starts), tokens), starts, strict=True):
        embedding[token] = 0
        embedding[token, state] = 1
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    for tensor, shape in llama_tensors(1, width, 64, 1, 1, tokens, head):
        if tensor == "token_embd.weight":
            continue
        fill = np.ones if len(shape) == 1 else np.zeros
        writer.add_tensor(tensor, fill(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_tensors(
    n_layer: int, width: int, ff: int, heads: int, kv_heads: int, tokens: int, head: int = 0
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and row-major shapes of a llama model with tied embeddings."""
    head = head or width // heads
    yield "token_embd.weight", (tokens, width)
    yield "output_norm.weight", (width,)
    for layer in range(n_layer):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (width,)
        yield block + "attn_q.weight", (heads * head, width)
        yield block + "attn_k.weight", (kv_heads * head, width)
        yield block + "attn_v.weight", (kv_heads * head, width)
        yield block + "attn_output.weight", (width, heads * head)
        yield block + "ffn_norm.weight", (width,)
        yield block + "ffn_gate.weight", (ff, width)
        yield block + "ffn_up.weight", (ff, width)
        yield block + "ffn_down.weight", (width, ff)


def add_shape(
    writer: GGUFWriter,
    n_layer: int,
    width: int,
    ff: int,
    heads: int,
    kv_heads: int | list[int],
    context_length: int,
    tokens: int,
) -> None:
    writer.add_context_length(context_length)
    writer.add_embedding_length(width)
    writer.add_block_count(n_layer)
    writer.add_feed_forward_length(ff)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(500000.0)
    writer.add_vocab_size(tokens)


def add_byte_tokenizer(writer: GGUFWriter, extra: Sequence[bytes], words: Sequence[str] = ()) -> int:
    """A byte-level BPE vocabulary (GPT-2's spelling): the bytes, `SPECIALS`, `extra`, `words`. Returns its size.

    No merge leads to an `extra` token, so no prompt contains one; `words` are tokens wherever they stand in it.
    """
    spelling = _byte_spelling()
    tokens = [*spelling, *SPECIALS, *("".join(spelling[byte] for byte in piece) for piece in extra), *words]
    types = [TokenType.NORMAL] * 256 + [TokenType.CONTROL] * len(SPECIALS) + [TokenType.NORMAL] * len(extra)
    types += [TokenType.USER_DEFINED] * len(words)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([int(kind) for kind in types])
    # llama.cpp refuses an empty merge list; this one joins two spaces into a token that does not exist.
    writer.add_token_merges([f"{spelling[32]} {spelling[32]}"])
    writer.add_bos_token_id(BOS_ID)
    writer.add_eos_token_id(EOS_ID)
    writer.add_add_bos_token(False)
    return len(tokens)


def _byte_spelling() -> list[str]:
    """GPT-2's printable character for each byte: itself where printable, else the next from U+0100 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def copy_tokenizer(writer: GGUFWriter, vocab: Path) -> int:
    """Copy every `tokenizer.` key but the chat template; returns the vocabulary's size."""
    tokens = 0
    for field in GGUFReader(vocab).fields.values():
        if not field.name.startswith("tokenizer.") or field.name.startswith("tokenizer.chat_template"):
            continue
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_array(field.name, field.contents())
        else:
            writer.add_key_value(field.name, field.contents(), field.types[0])
        if field.name == "tokenizer.ggml.tokens":
            tokens = len(field.data)
    return tokens
