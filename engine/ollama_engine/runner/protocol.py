"""The frames that engine and runner exchange over a socket pair: a 4-byte little-endian length, then msgpack.

Both directions are typed unions. A frame that does not decode ends the runner: nothing that a compromised runner
sends can be more than one of these. Request ids are the parent's choice and unique within a runner's life.
"""

from __future__ import annotations

import struct
from typing import Literal

import msgspec
from msgspec import Struct

MAX_FRAME = 256 * 1024 * 1024
"""Bytes. A prompt of a million tokens is 5 MB, an image up to 100; anything near this is a broken peer."""

_LENGTH = struct.Struct("<I")
HEADER_BYTES = _LENGTH.size


Pooling = Literal["", "mean", "cls", "last", "rank"]
"""How the vectors of an input's tokens become one, or a score; empty for a runner that generates text."""


PROCESSOR = ("cpu", "none")
"""Names, in lower case, that a list of devices may have for none beside the processor."""


class Adapter(Struct, frozen=True):
    """A LoRA adapter (a GGUF file) and the weight that it is added with; 1 is as trained."""

    path: str
    scale: float = 1.0


class LoadSpec(Struct, tag="load", frozen=True):
    """How to load a model. Sizes are tokens; -1, None and what is empty leave the choice to llama.cpp.

    `n_ctx` is the context of one sequence; the KV cache holds `n_ctx * n_seq` cells. With `pooling` the runner embeds
    (or ranks) and generates nothing; it then works on up to `n_seq` inputs, `n_batch` tokens in all, at once.
    """

    model_paths: list[str]
    n_ctx: int
    n_seq: int = 1
    n_batch: int = 512
    n_ubatch: int = 0
    """Tokens of a batch that are computed at once; 0: 512."""
    n_gpu_layers: int = -1
    """The output layer counts as one; -1: all."""
    main_gpu: int | None = None
    """The one of `devices` that takes all of the model, or with the split mode `row` what is not split."""
    devices: list[str] = []
    """ggml's names of those to offload to, in order; `CPU` alone for none, empty for all there are."""
    split_mode: str = ""
    """`none`, `layer` or `row`."""
    tensor_split: list[float] = []
    """Parts of the devices, in their order."""
    n_cpu_moe: int = 0
    """The experts of so many layers, the first ones, stay in RAM; -1: of all."""
    use_mmap: bool | None = None
    use_mlock: bool = False
    numa: str = ""
    """`distribute`, `isolate` or `numactl`."""
    n_threads: int = 0
    n_threads_batch: int = 0
    """For prompts; 0: `n_threads`, or one per core where that is 0, too."""
    cache_type_k: str = ""
    cache_type_v: str = ""
    """KV_TYPES of gguf/memory.py; empty: f16."""
    kv_offload: bool = True
    """Whether the KV cache lies on the device of its layer."""
    flash_attention: bool | None = None
    pooling: Pooling = ""
    adapters: list[Adapter] = []
    projector_paths: list[str] = []
    """GGUF files that turn images or sound into embeddings (mtmd); empty for a model that reads text alone."""
    image_min_tokens: int = 0
    """Smaller images are enlarged until they take so many, by models whose images are as long as they are large; 0
    leaves it to the projector."""
    use_amx: bool = False
    kv_unified: bool | None = None
    """One pool of KV cells for all sequences, which can share them, or a stream for each; None by where it computes."""
    full_windows: bool = True
    """Whether layers with a sliding window keep as many tokens as the others: more memory, but a sequence can be cut
    back to where its window has moved on."""

    @property
    def may_offload(self) -> bool:
        """Whether anything may lie on another device than the processor, where there is one."""
        on_processor = self.devices and all(name.casefold() in PROCESSOR for name in self.devices)
        return self.n_gpu_layers != 0 and not on_processor


class FreeText(Struct, frozen=True):
    """The part of an answer that no grammar holds: thinking, from `open` up to and with `close`.

    An answer that begins otherwise than with `open` (whitespace aside) keeps to the grammar from its first token.
    `inside`: the prompt has opened it already, so the answer begins in it.
    """

    open: str
    close: str
    inside: bool = False


class Sampling(Struct, frozen=True):
    """Sampler options of one request, in llama.cpp's terms; defaults are spec §1.11's, or switch the sampler off."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = -1
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    grammar: str = ""
    """GBNF; empty means unconstrained."""
    free_text: FreeText | None = None
    """What may come before the grammar holds; None: nothing."""
    logit_bias: dict[int, float] = {}
    """Token -> what is added to its logit; -inf forbids it."""
    ignore_eos: bool | None = None
    """True forbids every token that ends an answer, and lets one that repeats itself go on."""


class Generate(Struct, tag="generate"):
    """Continue `tokens` until a stop string, an end token, `max_tokens`, or the end of the context.

    `n_ctx`: a smaller context than the runner's, for this request alone; 0 takes the runner's.
    `shift`: when the context is full, drop the older half after `keep` tokens and go on.
    """

    id: int
    tokens: list[int]
    max_tokens: int = -1
    n_ctx: int = 0
    stop: list[str] = []
    sampling: Sampling = Sampling()
    keep: int = 4
    shift: bool = True
    return_tokens: bool = False
    preserved: list[str] = []
    """Control tokens, as written, that are text in this answer: the markers around thinking and tool calls."""
    logprobs: int | None = None
    """None: not asked for; else how many of the likeliest tokens come with each token's own (0 to 20)."""
    media: list[bytes] = []
    """Images or sounds as files (PNG, JPEG, WebP, GIF; WAV, MP3, FLAC). A token -1 in `tokens` is the place of the
    first of them, -2 of the second, and so on."""


class Embed(Struct, tag="embed"):
    """Pool each of `inputs` (its tokens, the special ones included) to one vector.

    `dimensions`: how many leading numbers of a vector are kept, 0 for all. `normalize`: to length 1, after that.
    """

    id: int
    inputs: list[list[int]]
    dimensions: int = 0
    normalize: bool = True


class Cancel(Struct, tag="cancel"):
    id: int


class Tokenize(Struct, tag="tokenize"):
    """`add_special` adds the model's BOS/EOS where its vocabulary says so, never a second BOS."""

    id: int
    text: str
    add_special: bool = True
    parse_special: bool = True


class MeasureMedia(Struct, tag="measure_media"):
    """How many cells of the context will images or sounds take? Failed says which is broken, and how."""

    id: int
    media: list[bytes]


class Detokenize(Struct, tag="detokenize"):
    id: int
    tokens: list[int]


class GetStats(Struct, tag="stats"):
    id: int


Command = LoadSpec | Generate | Embed | Cancel | Tokenize | MeasureMedia | Detokenize | GetStats


class LoadProgress(Struct, tag="load_progress"):
    """0 to 1."""

    fraction: float


class Buffer(Struct, frozen=True):
    """A buffer that llama.cpp allocated. `device` is its name (`CPU`, `CPU_Mapped`, `CUDA0`, …), `size` bytes."""

    device: str
    kind: str
    size: int


class SpecialTokens(Struct, frozen=True):
    """Tokens that stand around a text, -1 where there is none, and whether the vocabulary wants them there."""

    bos: int = -1
    eos: int = -1
    sep: int = -1
    add_bos: bool = False
    add_eos: bool = False
    add_sep: bool = False


class Loaded(Struct, tag="loaded"):
    """The model is ready. `n_ctx` is what one sequence really has; the buffers' kinds are logs.py's."""

    n_ctx: int
    n_ctx_train: int
    n_seq: int
    n_vocab: int
    n_layers: int
    description: str
    buffers: list[Buffer]
    can_shift: bool
    special: SpecialTokens = SpecialTokens()
    vision: bool = False
    audio: bool = False
    """Whether its projectors take images, and sound."""
    notices: list[str] = []
    """What is otherwise than the spec asks for, in words for who asked."""


class TokenLogprob(Struct, array_like=True):
    """A token's bytes and the natural logarithm of its probability, before any sampler."""

    piece: bytes
    logprob: float


class Logprob(Struct, array_like=True):
    """The token that was chosen, and the likeliest ones in its place, best first."""

    chosen: TokenLogprob
    top: list[TokenLogprob]


class Piece(Struct, array_like=True):
    """New text of one request; `n` is how many tokens it took, `logprobs` theirs where asked for."""

    id: int
    text: str
    n: int
    logprobs: list[Logprob] = []


DoneReason = Literal["stop", "length", "repetition", "canceled"]


class Done(Struct, tag="done"):
    """A request has ended. Durations in nanoseconds; `reason` is `stop`, `length`, `repetition` (the same token again
    and again, without end) or `canceled`.

    `prompt_tokens` counts the whole prompt; `cached_tokens` of them were in the KV cache already.
    `tokens` are prompt and answer together, where asked for. `stop` is the stop string that ended it, if one did.
    """

    id: int
    reason: DoneReason
    prompt_tokens: int
    cached_tokens: int
    prompt_duration: int
    output_tokens: int
    output_duration: int
    tokens: list[int] | None = None
    stop: str = ""


class Step(Struct, tag="step"):
    """What one decode step has produced, or several quick ones: for each request at most one piece."""

    pieces: list[Piece]
    done: list[Done]


class Vectors(Struct, tag="vectors"):
    """Vectors of some inputs of one request: row `i` belongs to input `inputs[i]`, counted from 0.

    `values` are `len(inputs)` rows of equal length, little-endian float32. A request is done once all have come.
    """

    id: int
    inputs: list[int]
    values: bytes


class Tokens(Struct, tag="tokens"):
    id: int
    tokens: list[int]


class MediaSizes(Struct, tag="media_sizes"):
    """Cells of each file of a MeasureMedia, with what the model puts around it."""

    id: int
    sizes: list[int]


class Text(Struct, tag="text"):
    id: int
    text: str


class Stats(Struct, tag="stats"):
    """`cells_used` of `cells` KV cells hold something, finished sequences that may be reused included.

    Speeds are those of the last seconds, all slots together: of tokens generated, and of tokens of prompts (or of
    inputs to embed) that no cache had; 0 where there were none.
    """

    id: int
    cells: int
    cells_used: int
    slots: int
    slots_busy: int
    queued: int
    tokens_per_second: float
    prompt_tokens_per_second: float = 0.0


class Failed(Struct, tag="failed"):
    """Request `id` failed, or the load where `id` is 0.

    `kind`: `invalid` (the caller's fault), `memory` (a load for which there is not enough of it) or `error`.
    """

    id: int
    message: str
    kind: Literal["invalid", "memory", "error"] = "error"


class GgmlDevice(Struct, frozen=True):
    """A device as ggml names it (`CPU`, `CUDA0`, `Vulkan1` …); memory in bytes, 0 where the driver does not tell.

    `id` is its PCI address, as `0000:c1:00.0`, where it has one.
    """

    name: str
    description: str
    kind: str
    free: int
    total: int
    id: str = ""


class LlamaBuild(Struct, frozen=True):
    """What llama.cpp says it is: ggml's version and commit, its backends (`CPU`, `CUDA` …), and the features of the
    processor that it was compiled for (`AVX2`, `NEON` …)."""

    ggml: str
    commit: str
    backends: list[str]
    features: list[str]
    gpu_offload: bool


Report = LoadProgress | Loaded | Step | Done | Vectors | Tokens | MediaSizes | Text | Stats | Failed

_encoder = msgspec.msgpack.Encoder()
decode_command = msgspec.msgpack.Decoder(Command).decode
decode_report = msgspec.msgpack.Decoder(Report).decode


def encode(frame: Command | Report) -> bytes:
    """A frame with its length before it; ValueError where it can be none (too long, or text that is no Unicode)."""
    try:
        body = _encoder.encode(frame)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    if len(body) > MAX_FRAME:
        raise ValueError(f"{len(body)} bytes are more than the {MAX_FRAME} of a frame")
    return _LENGTH.pack(len(body)) + body


def frame_length(header: bytes) -> int:
    """The length of the body that follows; ValueError where it cannot be a frame."""
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME:
        raise ValueError(f"frame of {length} bytes")
    return length
