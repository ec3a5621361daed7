"""Fields that take values of several shapes, which the endpoints tell apart themselves, in their own words: `Any` to
msgspec, and what they are to whoever reads /openapi.json."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_OBJECT = {"type": "object"}

Texts = Annotated[Any, Meta(extra_json_schema={"anyOf": [_TEXT, _TEXTS]})]
"""A string or a list of them."""

OptionalTexts = Annotated[Any, Meta(extra_json_schema={"anyOf": [_TEXT, _TEXTS, {"type": "null"}]})]

Documents = Annotated[
    Any,
    Meta(
        extra_json_schema={
            "type": "array",
            "items": {"anyOf": [_TEXT, {**_OBJECT, "properties": {"text": _TEXT}, "required": ["text"]}]},
        }
    ),
]
"""Texts, or objects whose `text` is one."""

Items = Annotated[Any, Meta(extra_json_schema={"anyOf": [_TEXT, {"type": "array", "items": _OBJECT}]})]
"""A text, or a list of objects that each have a type."""

OptionalItems = Annotated[
    Any, Meta(extra_json_schema={"anyOf": [_TEXT, {"type": "array", "items": _OBJECT}, {"type": "null"}]})
]

Choice = Annotated[Any, Meta(extra_json_schema={"anyOf": [_TEXT, _OBJECT, {"type": "null"}]})]
"""A word, or an object that names something."""

Effort = Annotated[Any, Meta(extra_json_schema={"anyOf": [_TEXT, {"type": "null"}]})]

Upload = Annotated[bytes, Meta(extra_json_schema={"contentEncoding": "binary", "format": "binary"})]
"""A file in a form."""
