"""What an editor of Modelfiles needs: faults with their lines, completion, the rendered prompt, and the way to create.

The workstation's one door to Modelfiles, templates and files on the disk. Nothing here holds an engine or an event
loop, except the steps of a creation, which are given one.
"""

from __future__ import annotations

from ollama_engine.authoring.check import Checker, Finding, continued_lines, template_problem
from ollama_engine.authoring.completion import Completion, complete
from ollama_engine.authoring.creating import create_steps, quantizations
from ollama_engine.authoring.files import GgufFile, find_gguf
from ollama_engine.authoring.preview import SAMPLES, Draft, Sample, is_stored, read_draft, render_here, render_shown
from ollama_engine.authoring.text import editable_text, new_text

__all__ = [
    "SAMPLES",
    "Checker",
    "Completion",
    "Draft",
    "Finding",
    "GgufFile",
    "Sample",
    "complete",
    "continued_lines",
    "create_steps",
    "editable_text",
    "find_gguf",
    "is_stored",
    "new_text",
    "quantizations",
    "read_draft",
    "render_here",
    "render_shown",
    "template_problem",
]
