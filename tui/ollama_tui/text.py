"""Text from models, files and servers, made safe to show: what a terminal would obey is shown instead of sent.

Used by every widget that draws a name, a prompt or an answer.
"""

from __future__ import annotations

import re

# C0 without tab and newline, DEL, C1, and the marks that reorder or hide the text around them.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")


def visible(text: str) -> str:
    """`text` with control characters as pictures (ESC is ␛) or `\\x9b`-like escapes; tabs and newlines stay."""
    return _OBEYED.sub(_picture, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`text` on one line: each run of blanks is one space."""
    return visible(" ".join(text.split()))


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
