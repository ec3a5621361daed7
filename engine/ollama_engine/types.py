"""The nouns: what callers say to an engine and what it answers, as they stand on Ollama's wire.

One definition serves the JSON of the HTTP API, the engine's Python callers and the terminal. Field names and their
order are Ollama's (its REST API, `api/types.go`); what is ours and not Ollama's is marked so. `omit_defaults` is Go's
`omitempty`; a field that Ollama always sends has no default, or a `default_factory`, which msgspec never omits.

Units: durations are integer nanoseconds, sizes bytes, timestamps RFC 3339 text.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

JSON = dict[str, Any]
Role = str
"""`system`, `user`, `assistant` or `tool`; other roles go to the template as they are."""

KeepAlive = int | float | str | None
"""Seconds, or a Go duration (`"5m"`); negative never unloads, 0 unloads at once, None takes the default."""

Think = bool | str | None
"""`True`, `False`, or a level: `"low"`, `"medium"`, `"high"`, `"max"`."""

Capability = Literal["completion", "tools", "insert", "vision", "embedding", "thinking", "image", "audio"]


class ToolCallFunction(Struct, omit_defaults=True):
    name: str
    arguments: JSON = field(default_factory=dict)
    index: int = 0


class ToolCall(Struct, omit_defaults=True):
    function: ToolCallFunction
    id: str = ""


class Message(Struct, omit_defaults=True):
    """One turn of a conversation. `images` hold base64 text (also wav or mp3 audio)."""

    role: Role
    content: str = field(default_factory=str)
    thinking: str = ""
    images: list[str] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str = ""
    tool_call_id: str = ""


class GenerateRequest(Struct, omit_defaults=True):
    """One prompt to continue. With `prompt` empty the model is loaded, or unloaded when `keep_alive` is 0."""

    model: str
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: list[int] | None = None
    stream: bool | None = None
    raw: bool = False
    format: Any = None
    keep_alive: KeepAlive | UnsetType = UNSET
    images: list[str] | None = None
    options: JSON | None = None
    think: Think = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = field(name="_debug_render_only", default=False)
    grammar: str = ""
    """GBNF that the answer keeps to, in the place of `format` (ours)."""


class ChatRequest(Struct, omit_defaults=True):
    """A conversation to answer. With `messages` empty the model is loaded, or unloaded when `keep_alive` is 0."""

    model: str
    messages: list[Message] = field(default_factory=list)
    stream: bool | None = None
    format: Any = None
    keep_alive: KeepAlive | UnsetType = UNSET
    tools: list[JSON] | None = None
    options: JSON | None = None
    think: Think = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    debug_render_only: bool = field(name="_debug_render_only", default=False)
    grammar: str = ""
    """As GenerateRequest's."""
    tool_choice: Any = None
    """Ours, in OpenAI's shape: `none`, `auto`, `required`, or the one tool that must be called, as
    `{"type": "function", "function": {"name": NAME}}`. None is `auto`."""
    parallel_tool_calls: bool | None = None
    """False: at most one call (ours)."""


class TokenLogprob(Struct, omit_defaults=True, kw_only=True):
    """A token and the natural logarithm of its probability. `bytes` are exact, also where they are part of a character;
    `token` is those bytes as text, with U+FFFD for what is no character."""

    token: str
    logprob: float
    bytes: list[int] | None = field(default_factory=list)


class Logprob(TokenLogprob, omit_defaults=True, kw_only=True):
    """A token of the answer, with the likeliest tokens in its place where `top_logprobs` asked for them."""

    top_logprobs: list[TokenLogprob] | None = None


class DebugInfo(Struct, omit_defaults=True):
    rendered_template: str
    image_count: int = 0


class GenerateChunk(Struct, omit_defaults=True, kw_only=True):
    """A piece of an answer. The last one has `done` true, a `done_reason` and the metrics.

    `prompt_eval_count` counts the whole prompt, tokens served from the prefix cache included.
    """

    model: str
    created_at: str
    response: str
    thinking: str = ""
    done: bool
    done_reason: str = ""
    tokens: int = 1
    """How many tokens the text of this chunk took (ours; left out when it is one)."""
    context: list[int] | None = None
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    debug_info: DebugInfo | None = field(name="_debug_info", default=None)
    logprobs: list[Logprob] | None = None
    cached_tokens: int = 0
    """How many tokens of the prompt were in the prefix cache already (ours, on the last chunk)."""
    stop_sequence: str = ""
    """The stop string that ended the answer, if one did (ours, on the last chunk)."""
    truncated_tokens: int = 0
    """How many tokens were cut out of a prompt longer than the context (ours, on the last chunk)."""


class ChatChunk(Struct, omit_defaults=True, kw_only=True):
    """A piece of an answer. `message.content` is the new text only; the last one is as GenerateChunk's."""

    model: str
    created_at: str
    message: Message
    done: bool
    done_reason: str = ""
    tokens: int = 1
    """As GenerateChunk's."""
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    debug_info: DebugInfo | None = field(name="_debug_info", default=None)
    logprobs: list[Logprob] | None = None
    cached_tokens: int = 0
    """As GenerateChunk's."""
    stop_sequence: str = ""
    """As GenerateChunk's."""
    dropped_messages: int = 0
    """How many of the oldest messages were left out so that the rest fits the context (ours, on the last chunk)."""
    truncated_tokens: int = 0
    """As GenerateChunk's."""


class EmbedRequest(Struct, omit_defaults=True):
    """Texts to make vectors of: `input` is a string or a list of them. Without any the model is loaded."""

    model: str
    input: Any = None
    truncate: bool | None = None
    """False refuses an input that is longer than the context; else its end is left out."""
    dimensions: int = 0
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None
    normalize: bool | Literal["model"] = True
    """Ours. False gives vectors as llama.cpp pools them; `model` normalises them unless the GGUF says not to."""


class EmbedResponse(Struct, omit_defaults=True, kw_only=True):
    """A vector for each input, in order; of length 1 unless asked otherwise."""

    model: str
    embeddings: list[list[float]]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    """Tokens that were embedded, special ones included."""


class RerankRequest(Struct, omit_defaults=True):
    """Documents to put in order of their relevance to `query` (ours; Ollama has no such endpoint)."""

    model: str
    query: str = ""
    documents: list[str] = field(default_factory=list)
    top_n: int = 0
    """How many of the best are wanted; 0 for all."""
    truncate: bool | None = None
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class RankedDocument(Struct):
    """`index` into the request's documents; `relevance_score` as the model's head gives it, larger is better."""

    index: int
    relevance_score: float


class RerankResponse(Struct, omit_defaults=True, kw_only=True):
    """The best document first; equal scores in the order they came."""

    model: str
    results: list[RankedDocument]
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0


class TokenizeRequest(Struct, omit_defaults=True):
    """A text to cut into the model's tokens (ours; Ollama has no such endpoint).

    `add_special` puts the model's own tokens around it, as before generation; `parse_special` takes what is written
    like a control token for one. `detokenize` gives the text back where nothing was added.
    """

    model: str
    content: str = ""
    add_special: bool = False
    parse_special: bool | None = None
    """None is True."""
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class TokenizeResponse(Struct, omit_defaults=True, kw_only=True):
    model: str
    tokens: list[int]
    total_duration: int = 0
    load_duration: int = 0


class DetokenizeRequest(Struct, omit_defaults=True):
    """Tokens to make text of, control tokens written out (ours)."""

    model: str
    tokens: list[int] = field(default_factory=list)
    keep_alive: KeepAlive | UnsetType = UNSET
    options: JSON | None = None


class DetokenizeResponse(Struct, omit_defaults=True, kw_only=True):
    model: str
    content: str
    total_duration: int = 0
    load_duration: int = 0


class ModelDetails(Struct, omit_defaults=True):
    parent_model: str = field(default_factory=str)
    format: str = field(default_factory=str)
    family: str = field(default_factory=str)
    families: list[str] | None = field(default_factory=lambda: None)
    parameter_size: str = field(default_factory=str)
    quantization_level: str = field(default_factory=str)
    context_length: int = 0
    embedding_length: int = 0


class ModelSummary(Struct, omit_defaults=True):
    """A line of `list`. `digest` is the bare hex sha256 of the manifest file; `size` all layers and the config."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: ModelDetails
    capabilities: list[str] = field(default_factory=list)


class TensorInfo(Struct):
    name: str
    type: str
    shape: list[int]


def _empty_object() -> JSON:
    # msgspec omits an empty value whose factory is `dict` itself; this one is sent (spec §1.7: always an object)
    return {}


class ModelInfo(Struct, omit_defaults=True):
    """What `show` answers."""

    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""
    system: str = ""
    details: ModelDetails = field(default_factory=ModelDetails)
    messages: list[Message] | None = None
    model_info: JSON = field(default_factory=_empty_object)
    projector_info: JSON | None = None
    tensors: list[TensorInfo] | None = None
    capabilities: list[str] = field(default_factory=list)
    modified_at: str = ""
    requires: str = ""
    template_engine: str = ""
    """Which template speaks: `go`, the TEMPLATE layer, or `jinja`, the GGUF's own (ours)."""


class RunningModel(Struct, omit_defaults=True):
    """A line of `ps`. Fields after `context_length` are ours."""

    name: str
    model: str
    size: int
    digest: str
    details: ModelDetails
    expires_at: str
    size_vram: int
    context_length: int
    state: str = ""
    """`loading`, `busy`, `idle` or `stopping`; empty where the server does not say (Ollama's own)."""
    load_progress: float = 0.0
    """0 to 1 while loading."""
    pid: int = 0
    rss: int = 0
    """Resident memory of the runner process, bytes, measured."""
    weights: int = 0
    kv_cache: int = 0
    compute: int = 0
    """Buffers as llama.cpp reported them after the load, bytes, host and device together."""
    context_used: int = 0
    """KV cells in use, of `context_length` x `slots` (0 where unknown)."""
    slots: int = 0
    slots_busy: int = 0
    queued: int = 0
    tokens_per_second: float = 0.0
    """Generation speed over the last seconds, all slots together; 0 when idle."""


class Device(Struct, omit_defaults=True):
    """Something to compute on (ours). Memory in bytes; what nobody tells is 0, or None."""

    name: str
    """As ggml calls it: `CPU`, `CUDA0`, `Metal`, `Vulkan1` …"""
    description: str = field(default_factory=str)
    kind: str = field(default_factory=str)
    """`cpu`, `gpu`, `igpu` (shares the host's memory), `accel` (works with the CPU)."""
    total: int = 0
    free: int = 0
    id: str = ""
    """PCI address, as `0000:c1:00.0`."""
    utilization: float | None = None
    """Percent of the time since the last reading."""
    temperature: float | None = None
    """Degrees Celsius."""
    power: float | None = None
    """Watts."""


class CreateRequest(Struct, omit_defaults=True):
    """A model to make from another (`from_`) or from blobs already in the store (`files`: relative path -> digest)."""

    model: str
    from_: str = field(name="from", default="")
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    template: str = ""
    license: str | list[str] | None = None
    system: str = ""
    parameters: JSON | None = None
    messages: list[Message] | None = None
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    quantize: str = ""
    draft_files: dict[str, str] | None = None
    draft_quantize: str = ""
    imatrix: str = ""
    """Digest of an importance matrix (a blob), which the smallest quantizations need (ours)."""
    requantize: bool = False
    """Quantize weights that are quantized already, at a loss (ours)."""
    preset: str = ""
    """A named template for weights without one, or `auto` to choose it even where there is one (ours)."""
    stream: bool | None = None


class Progress(Struct, omit_defaults=True):
    """A step of something long (create, pull, push); the last one has status `success`."""

    status: str = ""
    digest: str = ""
    total: int = 0
    completed: int = 0


class PullRequest(Struct, omit_defaults=True):
    """A model to bring from its registry. `insecure`: over plain http."""

    model: str
    insecure: bool = False
    stream: bool | None = None


class PushRequest(Struct, omit_defaults=True):
    """A model to send to the registry that its name says. `insecure`: over plain http."""

    model: str
    insecure: bool = False
    stream: bool | None = None


class TransferProgress(Progress, omit_defaults=True):
    """A step of a pull or push. What follows is ours, and of the whole transfer."""

    rate: float = 0.0
    """Bytes a second over the last few seconds; 0 while unknown."""
    eta: float = 0.0
    """Seconds left at that rate; 0 while unknown."""


class Update(Struct, frozen=True, omit_defaults=True):
    """What its registry has for a model. `local` and `remote` are manifest digests, bare hex.

    `absent`: the registry has no such model (it was made here, or is gone); `unknown`: it could not be asked,
    `reason` says why.
    """

    name: str
    state: Literal["current", "newer", "absent", "unknown"]
    local: str
    remote: str = ""
    reason: str = ""


class UpdatesRequest(Struct, omit_defaults=True):
    """Which models to ask registries about; all of the store where `models` is None. `insecure`: over plain http."""

    models: list[str] | None = None
    insecure: bool = False


class PullView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pull of the queue as it is now. Bytes of all its blobs; `rate` in bytes a second, `eta` in seconds.

    A pull that a full disk stopped is `paused`, with the `error`; one that is `elsewhere` is run by another process.
    """

    id: str
    name: str
    state: Literal["queued", "running", "paused", "failed", "done", "elsewhere"]
    status: str = ""
    total: int = 0
    completed: int = 0
    rate: float = 0.0
    eta: float = 0.0
    error: str = ""
    hint: str = ""


class PruneReport(Struct, omit_defaults=True):
    """What `prune` found (and removed, unless it was a dry run): digests or file names, and bytes freed."""

    removed: list[str] = field(default_factory=list)
    freed: int = 0


encode_json = msgspec.json.Encoder().encode
