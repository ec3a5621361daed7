"""What a check has found."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

State = Literal["ok", "note", "wrong"]


class Finding(Struct, frozen=True, kw_only=True):
    """One line of `doctor`. `note`: worth knowing, nothing to do; `wrong`: `fix` puts it right."""

    check: str
    state: State
    message: str
    fix: str = ""
    """A command line, or a sentence where there is none."""


def ok(check: str, message: str) -> Finding:
    return Finding(check=check, state="ok", message=message)


def note(check: str, message: str, fix: str = "") -> Finding:
    return Finding(check=check, state="note", message=message, fix=fix)


def wrong(check: str, message: str, fix: str) -> Finding:
    return Finding(check=check, state="wrong", message=message, fix=fix)
