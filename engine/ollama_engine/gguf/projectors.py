"""What llama.cpp cannot run, told from a projector's header: where it would end the process instead of saying so.

catalog.py asks before a model is loaded. The rules are those of the pinned release (tools/mtmd/clip.cpp).
"""

from __future__ import annotations

from ollama_engine.gguf.header import Header

_STACKING = ("ultravox", "voxtral", "meralion", "glma")
"""Audio projectors that join several neighbouring frames into one."""
_HALF_CHUNK = 1500
"""Frames of 30 seconds of sound behind the encoder's convolutions."""


def projector_problem(header: Header) -> str:
    """Why a model cannot be loaded with this projector; empty where nothing is known against it."""
    kind = header.text("clip.projector_type") or header.text("clip.audio.projector_type")
    if kind not in _STACKING or not header.flag("clip.has_audio_encoder"):
        return ""
    stack = header.integer("clip.audio.projector.stack_factor")
    if not stack:
        return "its clip.audio.projector.stack_factor is missing or 0"
    given = -(-_HALF_CHUNK // stack)
    # llama.cpp rounds up before it halves, and for glma not at all; it then aborts over the difference.
    expected = _HALF_CHUNK // stack if kind == "glma" else -(-2 * _HALF_CHUNK // stack) // 2
    if given == expected:
        return ""
    return (
        f"its stack_factor of {stack} makes {given} cells of 30 seconds of sound where llama.cpp counts on {expected}"
    )
