"""What the source says of a field, in the string under it, for the schemas: msgspec keeps only what classes say."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ollama_engine.types import JSON


def describe_fields(components: dict[str, JSON], kinds: Sequence[Any]) -> None:
    """Put descriptions into the schemas in `components`, which were made of `kinds`."""
    for cls in set(_structs(kinds)):
        schema = components.get(cls.__name__)
        if schema is None:
            continue  # two of one name, which msgspec calls otherwise
        names = {field.name: field.encode_name for field in msgspec.structs.fields(cls)}
        for name, text in field_docs(cls).items():
            # A schema that only refers to another may have a description beside it since OpenAPI 3.1.
            if names.get(name) in schema["properties"]:
                schema["properties"][names[name]]["description"] = text


def field_docs(cls: type[Struct]) -> dict[str, str]:
    """Field name -> what is written under it, in the class or those it comes from; nothing where there is no source."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is not Struct and issubclass(base, Struct):
            found.update(_own_docs(base))
    return found


def _own_docs(cls: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        before.target.id: inspect.cleandoc(after.value.value)
        for before, after in itertools.pairwise(body)
        if isinstance(before, ast.AnnAssign)
        and isinstance(before.target, ast.Name)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and isinstance(after.value.value, str)
    }


def _structs(kinds: Sequence[Any]) -> Iterator[type[Struct]]:
    """Every Struct that the kinds are made of."""
    seen: set[type] = set()
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(kinds))
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in seen:
                continue
            seen.add(info.cls)
            yield info.cls
            waiting += [field.type for field in info.fields]
        elif isinstance(info, msgspec.inspect.UnionType):
            waiting += info.types
        else:
            waiting += [
                part
                for name in ("type", "item_type", "key_type", "value_type")
                if isinstance(part := getattr(info, name, None), msgspec.inspect.Type)
            ]
