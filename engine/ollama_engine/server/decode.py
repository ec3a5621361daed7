"""Request bodies: bytes to a request Struct by the rules of Go's JSON decoder (spec §0).

Field names match whatever their case, unknown fields and `Content-Type` are ignored, null leaves a field unset, and a
field that is absent is its type's zero: what a missing model means is for the endpoint to say.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, UnsetType
from starlette.requests import ClientDisconnect, Request

from ollama_engine.durations import parse_keep_alive
from ollama_engine.errors import InvalidRequest, RequestCanceled
from ollama_engine.server.compressed import unpack
from ollama_engine.server.json_text import read_first_value

S = TypeVar("S", bound=Struct)
_MISMATCH = re.compile(r"Expected `(?P<expected>[^`]*)`, got `(?P<got>[^`]*)`(?: - at `\$\.?(?P<path>.*)`)?")
_KINDS = {"str": "string", "int": "number", "float": "number"}
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]*")


async def read_request(request: Request, kind: type[S], *, aliases: Mapping[str, str] | None = None) -> S:
    """Read the body of `request` as a `kind`.

    Args:
        aliases: deprecated field name -> the field it fills where that one is absent or empty.

    Raises:
        InvalidRequest: the body is missing, is not JSON, does not fit `kind`, or is too large (security/limits.py).
    """
    body = await _read_body(request)
    return decode(unpack(body, request.headers.get("content-encoding", "").lower()), kind, aliases=aliases)


def decode(body: bytes | bytearray, kind: type[S], *, aliases: Mapping[str, str] | None = None) -> S:
    """`read_request` for a body at hand."""
    value = read_first_value(body)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"json: cannot unmarshal {_json_kind(value)} into Go value of type api.{kind.__name__}")
    for old, new in (aliases or {}).items():
        _fill_from_alias(value, old, new)
    bound = _bind(value, kind)
    try:
        return msgspec.convert(bound, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(_go_mismatch(str(error), kind)) from error


async def _read_body(request: Request) -> bytearray:
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
    except ClientDisconnect as error:
        raise RequestCanceled() from error
    return body


def _fill_from_alias(value: dict[str, Any], old: str, new: str) -> None:
    folded = {key.lower(): key for key in value}
    if old in folded and value[folded[old]] and not value.get(folded.get(new, new)):
        value[new] = value[folded[old]]


@lru_cache(maxsize=64)
def _fields(kind: type[Struct]) -> dict[str, tuple[str, Any, bool]]:
    """Lower-cased name on the wire -> (name on the wire, its type without null, whether it must be there)."""
    return {
        field.encode_name.lower(): (field.encode_name, _stripped(field.type), field.required)
        for field in msgspec.structs.fields(kind)
    }


def _stripped(hint: Any) -> Any:
    """`hint` without None, UNSET and what is noted beside it; a union that is left stays one."""
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    rest = [part for part in typing.get_args(hint) if part not in (types.NoneType, UnsetType)]
    return rest[0] if len(rest) == 1 else typing.Union[tuple(rest)]  # noqa: UP007 - built from a tuple


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Struct)


def _bind(value: Any, hint: Any) -> Any:
    """`value` with the field names of `hint` in their own case, nulls and unknown fields gone, zeros filled in."""
    if _is_struct(hint) and isinstance(value, dict):
        return _bind_struct(value, hint)
    if typing.get_origin(hint) is list and isinstance(value, list):
        item = _stripped(typing.get_args(hint)[0])
        return [_bind(_zero(item) if entry is None else entry, item) for entry in value]
    return value


def _bind_struct(value: dict[str, Any], kind: type[Struct]) -> dict[str, Any]:
    fields = _fields(kind)
    bound: dict[str, Any] = {}
    for key, item in value.items():
        name, hint, _ = fields.get(key.lower(), ("", None, False))
        if not name or item is None or (name in bound and key != name):
            continue
        _check(name, item)
        bound[name] = _bind(item, hint)
    for name, hint, required in fields.values():
        if required and name not in bound:
            bound[name] = _bind(_zero(hint), hint)
    if isinstance(bound.get("role"), str):
        bound["role"] = bound["role"].lower()
    return bound


def _zero(hint: Any) -> Any:
    if _is_struct(hint) or typing.get_origin(hint) is dict:
        return {}
    return {str: "", int: 0, float: 0.0, bool: False}.get(hint, [] if typing.get_origin(hint) is list else None)


def _check(name: str, value: Any) -> None:
    """The two fields whose Go types look at the value while they decode it."""
    if name == "keep_alive":
        parse_keep_alive(value)
    if name == "images" and isinstance(value, list):
        for image in value:
            if isinstance(image, str):
                check_base64(image)


def check_base64(text: str) -> None:
    """InvalidRequest, in Go's words, where `text` is not standard base64."""
    body = text.rstrip("\r\n=")
    match = _BASE64.match(body)
    good = match.end() if match else 0
    bare = text.replace("\r", "").replace("\n", "") if "\n" in text or "\r" in text else text
    padding = len(bare) - len(bare.rstrip("="))
    if good < len(body) or len(bare) % 4 or padding > 2:
        raise InvalidRequest(
            f"illegal base64 data at input byte {good}",
            hint="Images are standard base64 without a `data:` prefix.",
        )


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", list: "array", dict: "object"}.get(type(value), "null")


def _go_mismatch(message: str, kind: type[Struct]) -> str:
    match = _MISMATCH.search(message)
    if match is None:
        return f"json: {message}"
    path = re.sub(r"\[[^]]*\]", "", match["path"] or "")
    got = _KINDS.get(match["got"], match["got"])
    in_list = (match["path"] or "").endswith("]")
    expected = _go_type_at(kind, path.split(".") if path else [], in_list=in_list)
    return f"json: cannot unmarshal {got} into Go struct field {kind.__name__}.{path} of type {expected}"


def _go_type_at(hint: Any, path: list[str], *, in_list: bool) -> str:
    for name in path:
        while typing.get_origin(hint) is list:
            hint = _stripped(typing.get_args(hint)[0])
        if not _is_struct(hint):
            break
        hint = _fields(hint).get(name.lower(), ("", Any, False))[1]
    if in_list and typing.get_origin(hint) is list:
        hint = _stripped(typing.get_args(hint)[0])
    return _go_type(hint)


def _go_type(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return "[]" + _go_type(_stripped(arguments[0]))
    if origin is dict:
        return f"map[string]{_go_type(arguments[1])}"
    if _is_struct(hint):
        return f"api.{hint.__name__}"
    return {str: "string", int: "int", bool: "bool", float: "float64"}.get(hint, "interface {}")
