"""Escape sequences through a multiplexer: tmux and screen keep what they do not know, unless it is wrapped for them."""

from __future__ import annotations

from collections.abc import Mapping

_SCREEN_CHUNK = 700
"""GNU screen takes strings of 768 bytes."""


def through(sequence: str, environ: Mapping[str, str]) -> str:
    """`sequence` for the terminal outside of tmux or screen; as it is where there is neither.

    tmux lets it pass where `allow-passthrough` is on.
    """
    if environ.get("TMUX"):
        return f"\x1bPtmux;{sequence.replace(chr(27), chr(27) * 2)}\x1b\\"
    if environ.get("STY"):
        chunks = (sequence[start : start + _SCREEN_CHUNK] for start in range(0, len(sequence), _SCREEN_CHUNK))
        return "".join(f"\x1bP{chunk}\x1b\\" for chunk in chunks)
    return sequence
