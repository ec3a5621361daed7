"""What OpenAI's endpoints answer: the objects of chat and text completions, embeddings, models and rankings.

`omit_defaults` leaves out what OpenAI leaves out; a field that is always sent has no default.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from ollama_engine.types import DebugInfo

# -- errors ----------------------------------------------------------------------------------------------------


class OpenAIErrorDetails(Struct, omit_defaults=True):
    message: str
    type: str
    param: str | None
    code: str | None
    hint: str = ""
    """What to do about it (ours)."""


class OpenAIError(Struct):
    error: OpenAIErrorDetails


# -- token counts ----------------------------------------------------------------------------------------------


class PromptTokensDetails(Struct):
    cached_tokens: int


class CompletionTokensDetails(Struct):
    reasoning_tokens: int


class CompletionUsage(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class PromptUsage(Struct):
    """Where nothing is generated."""

    prompt_tokens: int
    total_tokens: int


# -- chat ------------------------------------------------------------------------------------------------------


class CallFunction(Struct):
    name: str
    arguments: str
    """A JSON object, as text."""


class Call(Struct):
    index: int
    id: str
    type: str
    function: CallFunction


class TopLogprob(Struct):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprobs(Struct):
    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(Struct):
    content: list[TokenLogprobs]
    refusal: None = None


class AssistantMessage(Struct, omit_defaults=True, kw_only=True):
    role: str
    content: str | None
    reasoning: str = ""
    """What the model thought before it answered."""
    tool_calls: list[Call] | None = None


class ChatChoice(Struct, omit_defaults=True, kw_only=True):
    index: int
    message: AssistantMessage
    finish_reason: str
    logprobs: ChoiceLogprobs | None = None


class ChatCompletion(Struct, omit_defaults=True, kw_only=True):
    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: CompletionUsage
    debug_info: DebugInfo | None = field(name="_debug_info", default=None)


class Delta(Struct, omit_defaults=True, kw_only=True):
    """What a chunk adds to the message. The first one of a choice names the role; the last one is empty."""

    role: str = ""
    content: str | None = None
    reasoning: str = ""
    tool_calls: list[Call] | None = None


class ChunkChoice(Struct, omit_defaults=True, kw_only=True):
    index: int
    delta: Delta
    finish_reason: str | None
    logprobs: ChoiceLogprobs | None = None


class ChatCompletionChunk(Struct, omit_defaults=True, kw_only=True):
    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None
    """With `stream_options.include_usage`, in a last chunk without choices."""


# -- text completions ------------------------------------------------------------------------------------------


class TextLogprobs(Struct):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(Struct, kw_only=True):
    text: str
    index: int
    logprobs: TextLogprobs | None
    finish_reason: str | None


class TextCompletion(Struct, omit_defaults=True, kw_only=True):
    """Whole, or a piece of a stream; pieces have a usage as those of chat completions have."""

    id: str
    object: str
    created: int
    model: str
    system_fingerprint: str
    choices: list[TextChoice]
    usage: CompletionUsage | None = None
    debug_info: DebugInfo | None = field(name="_debug_info", default=None)


# -- embeddings, models, rankings ------------------------------------------------------------------------------


class EmbeddingObject(Struct):
    object: str
    embedding: list[float] | str
    """Numbers, or little-endian float32 as base64."""
    index: int


class EmbeddingList(Struct):
    object: str
    data: list[EmbeddingObject]
    model: str
    usage: PromptUsage


class ModelObject(Struct):
    id: str
    object: str
    created: int
    """Unix time."""
    owned_by: str


class ModelObjectList(Struct):
    object: str
    data: list[ModelObject]


class RankedText(Struct):
    text: str


class RankingResult(Struct, omit_defaults=True, kw_only=True):
    index: int
    relevance_score: float
    document: RankedText | None = None


class RankingList(Struct):
    id: str
    object: str
    model: str
    results: list[RankingResult]
    usage: PromptUsage


# -- responses and transcripts ---------------------------------------------------------------------------------


class InputTokensDetails(Struct):
    cached_tokens: int


class OutputTokensDetails(Struct):
    reasoning_tokens: int


class ResponseUsage(Struct):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class IncompleteDetails(Struct):
    reason: str


class ResponseError(Struct):
    code: str
    message: str


class ResponseObject(Struct, kw_only=True):
    """A response as it stands. Its `output` has items of the types reasoning, message and function_call."""

    id: str
    object: str
    created_at: int
    completed_at: int | None
    status: str
    """`in_progress`, `completed`, `incomplete` or `failed`."""
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[dict[str, Any]]
    previous_response_id: str | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, Any]
    parallel_tool_calls: bool
    reasoning: dict[str, Any]
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: Any
    tools: list[dict[str, Any]]
    top_p: float
    truncation: str
    usage: ResponseUsage | None
    background: bool
    max_tool_calls: None
    service_tier: str
    top_logprobs: int
    user: str | None


class ResponseEvent(Struct):
    """An event of a streamed response; what else it has is by its type. The last one is `response.completed`,
    `response.incomplete` or, after `error`, `response.failed`."""

    type: str
    sequence_number: int


class ResponseDeleted(Struct):
    id: str
    object: str
    deleted: bool


class TranscriptUsage(ResponseUsage, kw_only=True):
    type: str


class Transcript(Struct):
    text: str
    usage: TranscriptUsage


class TranscriptEvent(Struct, omit_defaults=True):
    """`transcript.text.delta` with a `delta`, then `transcript.text.done` with the `text` and the `usage`."""

    type: str
    delta: str = ""
    text: str = ""
    usage: TranscriptUsage | None = None
