"""What the models in memory hold and do, as gauges, read when somebody looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ollama_engine.types import RunningModel

_GAUGES = (
    ("ollama_tui_model_device_memory_bytes", "size_vram", "Of a model's buffers, what lies on devices."),
    ("ollama_tui_model_resident_memory_bytes", "rss", "Resident memory of the process that runs a model."),
    ("ollama_tui_model_slots", "slots", "Requests that a model can answer at once."),
    ("ollama_tui_model_slots_busy", "slots_busy", "Requests that a model answers now."),
    ("ollama_tui_model_requests_queued", "queued", "Requests that wait for a model."),
    ("ollama_tui_model_context_cells_used", "context_used", "Cells of the KV cache that are in use."),
)


class Memory(Collector):
    """Tells of `models`. The number of series is bounded by how many models fit into memory."""

    def __init__(self, models: Sequence[RunningModel]) -> None:
        self._models = models

    def collect(self) -> Iterable[Metric]:
        loaded = GaugeMetricFamily("ollama_tui_models_loaded", "Models in memory, those that are loading included.")
        loaded.add_metric([], len(self._models))
        yield loaded
        size = GaugeMetricFamily(
            "ollama_tui_model_memory_bytes",
            "A model's buffers, as llama.cpp allocated them.",
            labels=("model", "kind"),
        )
        for kind in ("weights", "kv_cache", "compute"):
            for name, value in self._sums(kind).items():
                size.add_metric([name, kind], value)
        yield size
        for name, field, what in _GAUGES:
            family = GaugeMetricFamily(name, what, labels=("model",))
            for model, value in self._sums(field).items():
                family.add_metric([model], value)
            yield family

    def _sums(self, field: str) -> dict[str, int]:
        """By name: a model that chats and embeds is there twice."""
        sums: dict[str, int] = {}
        for model in self._models:
            sums[model.name] = sums.get(model.name, 0) + getattr(model, field)
        return sums
