"""What a model can do, judged from its GGUF header and chat template alone (spec §1.7).

The store adds what only it knows: the config's own list, a Go template's variables, a projector layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ollama_engine.gguf.header import Header
from ollama_engine.types import Capability

PROJECTOR = "clip"
"""`general.architecture` of an image or audio encoder (mmproj) file, which has no words of its own."""

_THINKING_ARCHITECTURES = ("gptoss", "gpt-oss")
_CUTS_THINKING = re.compile(r"""split\(\s*['"]</think>""")


def gguf_capabilities(header: Header, chat_templates: Iterable[str]) -> tuple[Capability, ...]:
    """Capabilities of the model with this header and these Jinja templates, in Ollama's order."""
    architecture = header.text("general.architecture")
    found: list[Capability] = []
    if architecture != PROJECTOR:
        embeds = f"{architecture}.pooling_type" in header.metadata
        found.append("embedding" if embeds else "completion")
    for sense in ("vision", "audio"):
        if f"{architecture}.{sense}.block_count" in header.metadata or header.flag(f"clip.has_{sense}_encoder"):
            found.append(sense)
    from_templates = {word for template in chat_templates for word in template_capabilities(template)}
    if architecture in _THINKING_ARCHITECTURES:
        from_templates.add("thinking")
    found.extend(word for word in ("tools", "thinking") if word in from_templates)
    return tuple(found)


def projector_senses(header: Header) -> list[Capability]:
    """What the projector with this header gives a model: vision, audio. The first ones did not say: they saw."""
    senses: tuple[Capability, ...] = ("vision", "audio")
    return [sense for sense in senses if header.flag(f"clip.has_{sense}_encoder")] or ["vision"]


def template_capabilities(template: str) -> tuple[Capability, ...]:
    """`tools` and `thinking`, as far as a Jinja chat template shows them.

    A template thinks when it writes both tags, or when it cuts the thinking out of earlier turns.
    """
    found: list[Capability] = []
    if "tools" in template or "tool_call" in template:
        found.append("tools")
    if ("<think>" in template and "</think>" in template) or _CUTS_THINKING.search(template):
        found.append("thinking")
    return tuple(found)
