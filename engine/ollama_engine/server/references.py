"""Where a model is to run, as its name says it (spec §1.2): `:local` here, `:cloud` and `:TAG-cloud` at ollama.com.

Nothing is sent to ollama.com from here: such names are answered as by a server of Ollama's whose cloud is disabled.
"""

from __future__ import annotations

from ollama_engine.errors import EngineError, InvalidRequest, from_status

INFERENCE = "remote model is unavailable"
DETAILS = "remote model details are unavailable"
WEB_SEARCH = "web search is unavailable"
WEB_FETCH = "web fetch is unavailable"


def cloud_disabled(what: str) -> EngineError:
    """The error (403) for something that only ollama.com could do; `what` is one of the phrases above."""
    return from_status(403, f"ollama cloud is disabled: {what}")


def local_name(name: str, what: str = INFERENCE) -> str:
    """`name` without a `:local` at its end.

    Raises:
        EngineError: 403, the name means a model at ollama.com.
        InvalidRequest: it says both.
    """
    base, place = _cut(name)
    if place and _cut(base)[1]:
        raise InvalidRequest(f'use either :local or :cloud, not both: "{name}"')
    if place == "cloud":
        raise cloud_disabled(what)
    return base


def _cut(name: str) -> tuple[str, str]:
    """What stands before the word for a place, and that word; empty where there is none."""
    base, colon, suffix = name.rpartition(":")
    word = suffix.strip().lower()
    if colon and word in ("cloud", "local"):
        return base, word
    if colon and "/" not in word and len(word) > len("-cloud") and word.endswith("-cloud"):
        return f"{base}:{suffix.strip()[: -len('-cloud')]}", "cloud"
    return name, ""
