"""What every verb of a RemoteEngine stands on: the connection, and answers read as what they must be."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ollama_engine.connection import Connection
from ollama_engine.errors import NotFound
from ollama_engine.host_address import HostAddress

S = TypeVar("S", bound=msgspec.Struct)


class RemoteVerbs:
    def __init__(self, host: HostAddress, *, api_key: str | None = None) -> None:
        self.host = host.client
        self._server = Connection(host, api_key)

    def _made(self, value: Any, kind: type[S]) -> S:
        try:
            return msgspec.convert(_completed(value, kind), kind)
        except msgspec.ValidationError as error:
            raise self._server.not_ollama(f"an answer that does not fit Ollama's API ({error})") from error

    def _listed(self, values: Any, kind: type[S]) -> list[S]:
        if values is None:
            return []
        if not isinstance(values, list):
            raise self._server.not_ollama("a list that is none")
        return [self._made(value, kind) for value in values]


def own_id(id: str, kind: str, hint: str) -> str:
    """An id as it may stand in a path; NotFound for what is none."""
    if not (id.isascii() and id.isalnum()):
        raise NotFound(f"there is no {kind} {id[:40]!a}", hint=hint)
    return id


def _completed(value: Any, kind: type[msgspec.Struct]) -> Any:
    """`value` with the zeros of the fields that `kind` must have and a server, perhaps an older one, leaves out."""
    if not isinstance(value, dict):
        return value
    completed = {key: item for key, item in value.items() if item is not None}
    for field in msgspec.structs.fields(kind):
        name, hint = field.encode_name, field.type
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            if name in completed or field.required:
                completed[name] = _completed(completed.get(name, {}), hint)
        elif field.required and name not in completed:
            completed[name] = {str: "", int: 0, bool: False}.get(hint)
    return completed
