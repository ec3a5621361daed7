"""What one rendering of a Jinja template may cost, and the account that is kept while it runs.

`jinja_sandbox.py` calls `tick` at every loop turn and call, `charge` for every value that a step makes, and `weigh`
before anything that walks or prints a container. Together they end every template: by time, by steps, or by size.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2.utils import Namespace

from ollama_engine.errors import TemplateError


@dataclass(frozen=True)
class JinjaLimits:
    """Bounds of one rendering. Sizes are characters (a list item counts as eight), `seconds` is wall time."""

    seconds: float = 5.0
    steps: int = 5_000_000
    output: int = 32 * 1024 * 1024
    allocation: int = 256 * 1024 * 1024
    nodes: int = 300_000
    """Parts of one nested value that may be printed or compared."""
    integer_bits: int = 4096
    width: int = 10_000
    """Largest padding, indent or precision."""


class Budget:
    """The account of one rendering; every method raises `TemplateError` once a bound is passed."""

    ITEM = 8
    """What one item of a list costs, in characters: a pointer."""

    def __init__(self, limits: JinjaLimits) -> None:
        self.limits = limits
        self._steps = 0
        self._allocated = 0
        self._deadline = time.monotonic() + limits.seconds

    def tick(self) -> None:
        """Count one step and look at the clock."""
        self._steps += 1
        if self._steps > self.limits.steps:
            raise self._stopped(f"it took more than {self.limits.steps:,} steps")
        if time.monotonic() > self._deadline:
            raise self._stopped(f"it ran for more than {self.limits.seconds:g} seconds")

    def charge(self, size: int) -> None:
        """Count `size` characters or items that were, or are about to be, made."""
        self._allocated += size
        if self._allocated > self.limits.allocation:
            raise self._stopped(f"it built more than {self.limits.allocation:,} characters of values")

    def afford(self, size: int) -> None:
        """Refuse a single step whose result would have `size` characters, without counting it yet."""
        if size > self.limits.allocation - self._allocated:
            raise self._stopped(f"one of its steps would make a value of {size:,} characters")

    def width(self, value: Any) -> None:
        """Refuse a padding, an indent or a precision out of all reason."""
        if isinstance(value, int | float) and not -self.limits.width <= value <= self.limits.width:
            raise self._stopped(f"it asks for a width of {value}; the limit is {self.limits.width:,}")

    def made(self, value: Any) -> Any:
        """Charge a value that a step has made; returns it."""
        if isinstance(value, str):
            self.charge(len(value))
        elif isinstance(value, list | tuple | dict):
            self.charge(self.ITEM * len(value))
        elif isinstance(value, int) and value.bit_length() > self.limits.integer_bits:
            raise self._stopped(f"it built an integer of more than {self.limits.integer_bits:,} bits")
        return value

    def bits(self, count: int) -> None:
        if count > self.limits.integer_bits:
            raise self._stopped(f"it built an integer of more than {self.limits.integer_bits:,} bits")

    def output(self, size: int) -> None:
        if size > self.limits.output:
            raise self._stopped(f"its text grew past {self.limits.output:,} characters")

    def weigh(self, value: Any) -> int:
        """Characters that `value` takes when printed, shared parts counted each time they are met."""
        if isinstance(value, str):
            return len(value)
        if not isinstance(value, Mapping | list | tuple | set | frozenset | Namespace):
            return 8
        size = nodes = 0
        waiting: list[Any] = [value]
        while waiting:
            part = waiting.pop()
            nodes += 1
            if nodes > self.limits.nodes or size > self.limits.allocation:
                raise self._stopped("one of its values has too many parts to print or compare")
            if isinstance(part, str):
                size += len(part) + 4
            elif isinstance(part, Mapping):
                waiting.extend(part.keys())
                waiting.extend(part.values())
            elif isinstance(part, list | tuple | set | frozenset):
                waiting.extend(part)
            elif isinstance(part, Namespace):
                waiting.append(part._Namespace__attrs)  # jinja2 offers no public view of it
            else:
                size += 8
        return size + 4 * nodes

    def _stopped(self, why: str) -> TemplateError:
        return TemplateError(
            f"chat template stopped: {why}",
            hint="The model's chat template does not end in reasonable bounds; give the model a TEMPLATE of its own.",
        )
