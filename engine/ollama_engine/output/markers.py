"""A model's markers, inferred from its template alone: what stands around sentinels is what the model will write.

`dialects.markers_for` calls this for every model that its table does not cover.
"""

from __future__ import annotations

from dataclasses import replace

from ollama_engine.output.infer_calls import infer_call
from ollama_engine.output.infer_thinking import infer_thinking, infer_wrappers
from ollama_engine.output.probe import Probe
from ollama_engine.output.syntax import Markers
from ollama_engine.prompt.render import ChatTemplate


def infer_markers(template: ChatTemplate) -> Markers:
    """The markers that `template` shows; empty ones where it knows neither thinking nor tools.

    Renders a dozen short conversations, which takes milliseconds; call it in a worker thread, once for a model.
    """
    probe = Probe(template)
    thinking = infer_thinking(probe, template.source)
    call = infer_call(probe, thinking)
    wrappers = infer_wrappers(probe, thinking)
    markers = Markers(thinking, (call,) if call else (), wrappers)
    return replace(markers, opens_thinking=markers.starts_in_thinking(probe.prompt(True) or ""))
