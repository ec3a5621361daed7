"""The nouns: what callers say to an engine and what it answers, as they stand on Ollama's wire.

One definition serves the JSON of the HTTP API, the engine's Python callers and the terminal. Field names and their
order are Ollama's (its REST API, `api/types.go`); what is ours and not Ollama's is marked so. `omit_defaults` is Go's
`omitempty`; a field that Ollama always sends has no default, or a `default_factory`, which msgspec never omits.

Units: durations are integer nanoseconds, sizes bytes, timestamps RFC 3339 text.
"""

from __future__ import annotations

from ollama_engine.types.base import JSON, Capability, KeepAlive, Think, encode_json
from ollama_engine.types.generation import (
    ChatChunk,
    ChatRequest,
    DebugInfo,
    GenerateChunk,
    GenerateRequest,
    Logprob,
    TokenLogprob,
)
from ollama_engine.types.messages import Message, Role, ToolCall, ToolCallFunction
from ollama_engine.types.models import (
    CreateRequest,
    LayerView,
    ModelDetails,
    ModelInfo,
    ModelSummary,
    PruneReport,
    TensorInfo,
)
from ollama_engine.types.plan import DevicePlan, Fit, MemoryPlan, PlanRequest
from ollama_engine.types.requests import RequestView
from ollama_engine.types.running import Device, DeviceShare, RunningModel
from ollama_engine.types.tokens import DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse
from ollama_engine.types.transfers import (
    Progress,
    PullLayer,
    PullRequest,
    PullView,
    PushRequest,
    TransferLimits,
    TransferProgress,
    Update,
    UpdatesRequest,
)
from ollama_engine.types.vectors import EmbedRequest, EmbedResponse, RankedDocument, RerankRequest, RerankResponse

__all__ = [
    "JSON",
    "Capability",
    "ChatChunk",
    "ChatRequest",
    "CreateRequest",
    "DebugInfo",
    "DetokenizeRequest",
    "DetokenizeResponse",
    "Device",
    "DevicePlan",
    "DeviceShare",
    "EmbedRequest",
    "EmbedResponse",
    "Fit",
    "GenerateChunk",
    "GenerateRequest",
    "KeepAlive",
    "LayerView",
    "Logprob",
    "MemoryPlan",
    "Message",
    "ModelDetails",
    "ModelInfo",
    "ModelSummary",
    "PlanRequest",
    "Progress",
    "PruneReport",
    "PullLayer",
    "PullRequest",
    "PullView",
    "PushRequest",
    "RankedDocument",
    "RequestView",
    "RerankRequest",
    "RerankResponse",
    "Role",
    "RunningModel",
    "TensorInfo",
    "Think",
    "TokenLogprob",
    "TokenizeRequest",
    "TokenizeResponse",
    "ToolCall",
    "ToolCallFunction",
    "TransferLimits",
    "TransferProgress",
    "Update",
    "UpdatesRequest",
    "encode_json",
]
