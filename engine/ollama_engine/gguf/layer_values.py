"""Keys of a GGUF header that have one value for all layers, or a list with one for each."""

from __future__ import annotations

from ollama_engine.gguf.header import ArrayRef, Header

MAX_LAYERS = 1 << 16


def layer_numbers(header: Header, key: str) -> tuple[int, ...]:
    """A number for all layers, or a list with one a layer; () where the file does not say.

    Raises:
        InvalidGGUF: it is neither, or a list that is too long.
    """
    value = header.metadata.get(key)
    if value is None:
        return ()
    if not isinstance(value, ArrayRef):
        return (header.integer(key),)
    counts: list[int] = []
    for count in _values(header, key, value):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise header.fault(f"{key} should hold whole numbers, not negative")
        counts.append(count)
    return tuple(counts)


def layer_flags(header: Header, key: str) -> tuple[bool, ...]:
    """A list of flags, written as booleans or as numbers; () where there is no list. Errors as layer_numbers."""
    value = header.metadata.get(key)
    if not isinstance(value, ArrayRef):
        return ()
    return tuple(bool(flag) for flag in _values(header, key, value))


def at_layer(values: tuple[int, ...], layer: int, default: int = 0) -> int:
    """The value of one layer, counted from 0."""
    if len(values) == 1:
        return values[0]
    return values[layer] if layer < len(values) else default


def _values(header: Header, key: str, value: ArrayRef) -> list[bool | int | float | str]:
    if value.count > MAX_LAYERS:
        raise header.fault(f"{key} has {value.count} values; no model has so many layers")
    return header.array(key)
