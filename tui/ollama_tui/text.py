"""Text from models, files and servers, made safe to show: what a terminal would obey is shown instead of sent.

Used by every widget that draws a name, a prompt or an answer.
"""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size

# C0 without tab and newline, DEL, C1, and the marks that reorder or hide the text around them.
_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]")


def visible(text: str) -> str:
    """`text` with control characters as pictures (ESC is ␛) or `\\x9b`-like escapes; tabs and newlines stay."""
    return _OBEYED.sub(_picture, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`text` on one line: each run of blanks is one space."""
    return visible(" ".join(text.split()))


def short_name(name: str, width: int) -> str:
    """A model's name in `width` cells: first its host is left out, then its owner, the tag `latest`, at last the end
    of what is before the tag. So two quantizations of a repository stay two names."""
    if cell_len(name) <= width:
        return name
    parts = name.split("/")
    for left_out in range(1, len(parts)):
        if cell_len(rest := "…/" + "/".join(parts[left_out:])) <= width:
            return rest
    last = parts[-1].removesuffix(":latest")
    if cell_len(last) <= width:
        return last
    model, colon, tag = last.rpartition(":")
    room = width - cell_len(f"…{colon}{tag}")
    return set_cell_size(model, room) + f"…{colon}{tag}" if model and room > 0 else set_cell_size(last, width - 1) + "…"


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
