"""The sandbox in which chat templates of strangers run; `jinja.py` compiles templates in it.

Jinja's immutable sandbox keeps a template away from Python's insides. It does not keep it from running for ever or
from filling the memory, so this environment also rewrites the parsed template: every loop turn ticks, and every
construct that can make a large value (`~`, `*`, slices, filters, string methods, captured blocks) is accounted for.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Callable, Iterable
from types import GeneratorType
from typing import Any

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.visitor import NodeTransformer

from ollama_engine.errors import TemplateError
from ollama_engine.prompt.jinja_budget import Budget, JinjaLimits

# Names with a space cannot be written in a template, so no template can reach these filters or be broken by them.
_TICK, _CONCAT, _MADE, _WEIGH = "budget tick", "budget concat", "budget made", "budget weigh"

_WITHHELD_FILTERS = ("forceescape", "pprint", "random", "striptags", "urlize", "xmlattr")
# fmt: off
_SHALLOW_FILTERS = frozenset((
    "attr", "count", "d", "default", "first", "items", "last", "length", "list", "map", "max", "min", "reject",
    "rejectattr", "reverse", "select", "selectattr", "slice", "batch",
))
_WIDTH_FILTERS = frozenset((
    "batch", "center", "filesizeformat", "format", "indent", "round", "slice", "tojson", "truncate", "wordwrap",
))
_DEEP_TESTS = frozenset((
    "==", "eq", "equalto", "!=", "ne", "in", ">", "gt", "greaterthan", ">=", "ge", "<", "lt", "lessthan", "<=", "le",
))
_WITHHELD_METHODS = frozenset(("encode", "maketrans", "striptags", "to_bytes", "translate", "unescape"))
_WIDTH_METHODS = frozenset(("center", "ljust", "rjust", "zfill"))
# fmt: on
_CONVERSION = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d+)?(?:\.(\*|\d+))?")


class GenerationBlock(Extension):
    """`{% generation %}` marks the assistant's tokens for training; for a prompt it is nothing but its body."""

    tags = {"generation"}  # noqa: RUF012  # jinja2 declares it as an instance attribute

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Accounting(NodeTransformer):
    """Writes the account-keeping into a parsed template."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_filter(nodes.Const(True), _TICK, node), lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(_filter(nodes.Const(True), _TICK, node), node.test, lineno=node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filter(nodes.Tuple(node.nodes, "load", lineno=node.lineno), _CONCAT, node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        return _filter(node, _MADE, node) if isinstance(node.arg, nodes.Slice) else node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _weighed(node.expr)
        for operand in node.ops:
            operand.expr = _weighed(operand.expr)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        self.generic_visit(node)
        node.key = _weighed(node.key)
        return node


def _filter(value: nodes.Expr, name: str, at: nodes.Node) -> nodes.Filter:
    return nodes.Filter(value, name, [], [], None, None, lineno=at.lineno)


def _weighed(value: nodes.Expr) -> nodes.Expr:
    return value if isinstance(value, nodes.Const) else _filter(value, _WEIGH, value)


def _size(value: str | list[Any] | tuple[Any, ...]) -> int:
    return len(value) if isinstance(value, str) else Budget.ITEM * len(value)


def tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: Iterable[str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as Hugging Face's `apply_chat_template` writes it: characters as they are, no HTML escapes."""
    if separators is None:
        item, key = (", ", ": ") if indent is None else (",", ": ")
    else:
        item, key = separators
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=(item, key),
        sort_keys=sort_keys,
        default=_listed,
    )


def _listed(value: Any) -> list[Any]:
    """The items of a lazy filter (`tools | map(...) | tojson`), which Python's own JSON refuses."""
    if isinstance(value, GeneratorType):
        return list(value)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """Jinja with what chat templates expect, bounded by a `Budget` for each rendering."""

    intercepted_binops = frozenset(("+", "-", "*", "//", "%", "**"))

    def __init__(self, limits: JinjaLimits) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", GenerationBlock],
            finalize=self._finalize(),
            optimized=False,  # folding constants would run filters at compile time, outside any budget
            autoescape=False,
            cache_size=0,
        )
        self._limits = limits
        self._running = threading.local()
        self.globals.pop("lipsum", None)
        for name in _WITHHELD_FILTERS:
            self.filters.pop(name, None)
        self.filters["tojson"] = tojson
        self.filters["safe"] = str  # prompts are not HTML: Markup would escape whatever is added to it
        for name, function in self.filters.items():
            self.filters[name] = self._guarded(name, function, deep=name not in _SHALLOW_FILTERS)
        for name, function in self.tests.items():
            self.tests[name] = self._guarded(name, function, deep=name in _DEEP_TESTS)
        self.filters[_TICK] = lambda _: (self.budget.tick(), True)[1]
        self.filters[_CONCAT] = lambda parts: self.concat([self._printed(part) for part in parts])
        self.filters[_MADE] = lambda value: self.budget.made(value)
        self.filters[_WEIGH] = self._weighed

    @property
    def budget(self) -> Budget:
        """The account of the rendering that this thread is in."""
        return self._running.budget

    def begin(self) -> Budget:
        """Open a fresh account for a rendering in this thread."""
        self._running.budget = Budget(self._limits)
        return self._running.budget

    def concat(self, parts: Iterable[str]) -> str:
        """Join the pieces of a captured block, a macro or `~`."""
        pieces = list(parts)
        self.budget.charge(sum(map(len, pieces)))
        return "".join(pieces)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget = self.budget
        if operator == "*":
            self._check_product(left, right)
        elif operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
            budget.afford(_size(left) + _size(right))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            budget.bits(left.bit_length() * abs(right))
        elif operator == "%" and isinstance(left, str):
            self._check_percent(left, right)
        return budget.made(super().call_binop(context, operator, left, right))

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        budget = __self.budget
        budget.tick()
        if not isinstance(__obj, Macro | LoopContext):
            for value in (*args, *kwargs.values()):
                budget.weigh(value)
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str | int | list | tuple | dict):
            __self._check_method(owner, getattr(__obj, "__name__", ""), args, kwargs)
        return budget.made(super().call(__context, __obj, *args, **kwargs))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Published templates build lists with `append` and `pop`; what they can reach are copies (`jinja.py`)."""
        if isinstance(obj, list) and attr in ("append", "pop"):
            return True
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        text, by_mapping = value.__self__, value.__name__ == "format_map"

        def formatted(*args: Any, **kwargs: Any) -> str:
            named = args[0] if by_mapping else kwargs
            return _BoundedFormatter(self).vformat(text, () if by_mapping else args, named)

        return formatted

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _Accounting().visit(super()._parse(source, name, filename))

    def _finalize(self) -> Callable[..., Any]:
        @pass_context  # a finalizer that wants the context is never run at compile time
        def finalize(_context: Context, value: Any) -> Any:
            return self._weighed(value)

        return finalize

    def _weighed(self, value: Any) -> Any:
        self.budget.weigh(value)
        return value

    def _printed(self, value: Any) -> str:
        return value if isinstance(value, str) else str(self._weighed(value))

    def _guarded(self, name: str, function: Callable[..., Any], *, deep: bool) -> Callable[..., Any]:
        """`function`, with its arguments checked before and its result charged after."""
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)  # copies jinja's pass_context and pass_environment marks
        def guarded(*args: Any, **kwargs: Any) -> Any:
            budget = self.budget
            budget.tick()
            values = [*args[first:], *kwargs.values()]
            sizes = [budget.weigh(value) for value in values] if deep else []
            if name in _WIDTH_FILTERS:
                for value in values[1:]:
                    budget.width(value)
            self._check_filter(name, values, sizes)
            return budget.made(function(*args, **kwargs))

        return guarded

    def _check_filter(self, name: str, values: list[Any], sizes: list[int]) -> None:
        """Refuse a filter whose result would outgrow its arguments beyond the account."""
        if name == "format":
            self._check_percent(str(values[0]), tuple(values[1:]))
        elif name == "replace" and len(values) > 2:
            self.budget.afford(sizes[0] * max(1, sizes[2]) if not str(values[1]) else self._replaced(*values[:3]))
        elif name == "join" and len(values) > 1 and isinstance(values[0], list | tuple | dict | str):
            self.budget.afford(sizes[0] + len(values[0]) * sizes[1])
        elif name == "indent" and len(values) > 1:
            width = values[1] if isinstance(values[1], int) else sizes[1]
            self.budget.afford(sizes[0] + (str(values[0]).count("\n") + 1) * max(0, width))
        elif name == "wordwrap":
            self.budget.afford(
                sizes[0]
                * max([1, *(size for v, size in zip(values[1:], sizes[1:], strict=True) if isinstance(v, str))])
            )
        elif name == "tojson" and any(isinstance(value, int) and value > 64 for value in values[1:]):
            raise TemplateError("chat template stopped: tojson with an indent of more than 64 columns")
        elif name == "sum" and len(values) > 1 and not isinstance(values[-1], int | float | str):
            raise TemplateError("chat template stopped: sum with a start that is not a number")

    def _replaced(self, text: Any, old: Any, new: Any) -> int:
        return len(str(text)) + str(text).count(str(old)) * len(str(new))

    def _check_product(self, left: Any, right: Any) -> None:
        for value, count in ((left, right), (right, left)):
            if isinstance(count, int) and isinstance(value, str | list | tuple):
                self.budget.afford(_size(value) * max(0, count))
        if isinstance(left, int) and isinstance(right, int):
            self.budget.bits(left.bit_length() + right.bit_length())

    def _check_percent(self, text: str, values: Any) -> None:
        """Refuse `%` formatting that pads without reason or prints a large argument over and over."""
        for width, precision in _CONVERSION.findall(text):
            for number in (width, precision):
                if number == "*":
                    raise TemplateError("chat template stopped: a `*` width in a format")
                self.budget.width(int(number[:8]) if number else 0)
        self.budget.afford(len(text) + text.count("%") * self.budget.weigh(values))

    def _check_method(self, owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse a builtin method whose result would outgrow its arguments beyond the account."""
        if name in _WITHHELD_METHODS:
            raise SecurityError(f"{type(owner).__name__}.{name} is not available to chat templates")
        budget = self.budget
        if isinstance(owner, list | tuple) and name in ("index", "count"):
            budget.weigh(owner)
        if name in _WIDTH_METHODS and args:
            budget.width(args[0])
        elif name == "expandtabs":
            size = (*args, *kwargs.values(), 8)[0]
            budget.width(size)
            budget.afford(len(owner) + owner.count("\t") * max(0, size))
        elif name == "replace" and len(args) > 1:
            budget.afford(self._replaced(owner, args[0], args[1]))
        elif name == "join" and args and isinstance(args[0], list | tuple | dict | str):
            budget.afford(budget.weigh(args[0]) + len(args[0]) * len(owner))


class _BoundedFormatter(SandboxedFormatter):
    """`str.format` for templates: every field is charged, and no field is padded without reason."""

    def __init__(self, env: ChatEnvironment) -> None:
        super().__init__(env)
        self._budget = env.budget

    def format_field(self, value: Any, format_spec: str) -> str:
        for number in re.findall(r"\d+", format_spec):
            self._budget.width(int(number[:8]))
        self._budget.tick()
        self._budget.weigh(value)
        return self._budget.made(super().format_field(value, format_spec))

    def convert_field(self, value: Any, conversion: Any) -> Any:
        self._budget.weigh(value)
        return super().convert_field(value, conversion)
