"""The counters of one app, and the names of models that they may be told by.

Labels are bounded: an endpoint is a route's pattern, a model is one that has answered, and of those MAX_MODELS at most.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

MAX_MODELS = 100
OTHER = "other"
"""The label of every model beyond the first MAX_MODELS."""
UNKNOWN = "unknown"
"""The endpoint of requests for paths that are none."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_NANOSECONDS = 1e9


class Meters:
    """Belongs to one app. Nothing here waits or locks for long: it is called while answers stream."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "ollama_tui_http_requests",
            "Requests that were answered, or given up by their client (499).",
            ("endpoint", "method", "status", "model"),
            registry=registry,
        )
        self.in_progress = Gauge(
            "ollama_tui_http_requests_in_progress", "Requests that are being answered.", registry=registry
        )
        self.duration = Histogram(
            "ollama_tui_http_request_duration_seconds",
            "Time from a request's head to the end of its answer, streams to their last byte.",
            ("endpoint",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.first_token = Histogram(
            "ollama_tui_time_to_first_token_seconds",
            "Time from the request to the first text, thinking or call of its answer; loads and queues included.",
            ("model",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.prompt_tokens = Counter(
            "ollama_tui_prompt_tokens",
            "Tokens of prompts, cached ones included.",
            ("model",),
            registry=registry,
        )
        self.cached_tokens = Counter(
            "ollama_tui_cached_prompt_tokens",
            "Tokens of prompts that a cache had.",
            ("model",),
            registry=registry,
        )
        self.generated_tokens = Counter(
            "ollama_tui_generated_tokens", "Tokens of answers.", ("model",), registry=registry
        )
        self.prompt_seconds = Counter(
            "ollama_tui_prompt_seconds", "Time spent reading prompts.", ("model",), registry=registry
        )
        self.generation_seconds = Counter(
            "ollama_tui_generation_seconds", "Time spent generating.", ("model",), registry=registry
        )
        self._models: dict[str, str] = {}

    def model(self, name: str) -> str:
        """The label of a model that has answered."""
        label = self._models.get(name)
        if label is None:
            label = _full(name)
            if label not in self._models.values() and len(set(self._models.values())) >= MAX_MODELS:
                return OTHER
            if len(self._models) < 10 * MAX_MODELS:  # spellings of the same names
                self._models[name] = label
        return label

    def prompt(self, model: str, *, tokens: int, cached: int = 0, nanoseconds: int = 0) -> None:
        """A prompt that was read."""
        self.prompt_tokens.labels(model).inc(tokens)
        self.cached_tokens.labels(model).inc(cached)
        self.prompt_seconds.labels(model).inc(nanoseconds / _NANOSECONDS)

    def generation(self, model: str, *, tokens: int, nanoseconds: int) -> None:
        """An answer that is complete."""
        self.generated_tokens.labels(model).inc(tokens)
        self.generation_seconds.labels(model).inc(nanoseconds / _NANOSECONDS)


def _full(name: str) -> str:
    """`name` in lower case, with its tag."""
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
