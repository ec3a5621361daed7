"""What a registry asks for with a 401: the WWW-Authenticate header (RFC 9110 §11.6.1, spec §7.2)."""

from __future__ import annotations

import re

from msgspec import Struct

_PART = re.compile(
    r"""[\s,]* (?: (?P<key>[A-Za-z0-9_-]+) \s*=\s* (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<bare>[^\s,"]+) )
               |   (?P<scheme>[A-Za-z0-9_-]+) (?=\s|,|$) )""",
    re.VERBOSE,
)
MAX_HEADER = 8192


class Challenge(Struct, frozen=True):
    """One scheme (lower case) that the registry accepts, with its parameters."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def parse_challenges(header: str) -> list[Challenge]:
    """All challenges of the header, in its order; what cannot be read ends the list."""
    found: list[tuple[str, dict[str, str]]] = []
    position, header = 0, header[:MAX_HEADER]
    while match := _PART.match(header, position):
        position = match.end()
        if match["scheme"]:
            found.append((match["scheme"].lower(), {}))
        elif found:
            value = re.sub(r"\\(.)", r"\1", match["quoted"]) if match["quoted"] is not None else match["bare"]
            found[-1][1].setdefault(match["key"].lower(), value)
    return [
        Challenge(scheme, values.get("realm", ""), values.get("service", ""), values.get("scope", ""))
        for scheme, values in found
    ]
