"""Go's `fmt`: `Sprint`, `Sprintln` and `Sprintf`, for the functions print, println and printf."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ollama_engine.prompt.go_template import values
from ollama_engine.prompt.go_template.values import bytes_of, kind, text_from

_DIRECTIVE = re.compile(r"%([-+# 0]*)(\[\d+\])?(\*|\d+)?(?:(\.)(\[\d+\])?(\*|\d+)?)?(\[\d+\])?(.?)", re.DOTALL)
_WIDEST = 1_000_000


def sprint(arguments: Sequence[Any]) -> str:
    """Operands one after another, with a space between two that are no strings."""
    parts: list[str] = []
    for index, value in enumerate(arguments):
        if index and not isinstance(value, str) and not isinstance(arguments[index - 1], str):
            parts.append(" ")
        parts.append(values.text(value))
    return "".join(parts)


def sprintln(arguments: Sequence[Any]) -> str:
    return " ".join(values.text(value) for value in arguments) + "\n"


def sprintf(form: str, arguments: Sequence[Any], limit: int) -> str:
    """`form` with its verbs replaced; raises ValueError where the text would pass `limit` characters."""
    return _Format(form, arguments, limit).run()


class _Format:
    def __init__(self, form: str, arguments: Sequence[Any], limit: int) -> None:
        self._form = form
        self._arguments = arguments
        self._limit = limit
        self._next = 0
        self._reordered = False
        self._bad_index = False

    def run(self) -> str:
        parts: list[str] = []
        at = size = 0
        for match in _DIRECTIVE.finditer(self._form):
            piece = self._form[at : match.start()] + self._directive(match)
            at = match.end()
            size += len(piece)
            if size > self._limit:
                raise ValueError(f"a printf of more than {self._limit:,} characters")
            parts.append(piece)
        parts.append(self._form[at:])
        if not self._reordered and self._next < len(self._arguments):
            rest = (_typed(value) for value in self._arguments[self._next :])
            parts.append("%!(EXTRA " + ", ".join(rest) + ")")
        return "".join(parts)

    def _directive(self, match: re.Match[str]) -> str:
        flags, first, width, dot, second, precision, third, verb = match.groups()
        self._bad_index = self._reordered = False
        problem = ""
        wide: int | None = None
        self._index(first if width == "*" else None)
        if width == "*":
            wide = self._star()
            if wide is None:
                problem += "%!(BADWIDTH)"
            elif wide < 0:
                flags, wide = flags + "-", -wide
        elif width:
            wide = self._bounded(width)
            if wide is None:
                problem += "%!(BADWIDTH)"
        exact: int | None = None
        if dot:
            self._index(second)
            if precision == "*":
                exact = self._star()
                if exact is None or exact < 0:
                    exact, problem = None, problem + "%!(BADPREC)"
            else:
                exact = self._bounded(precision or "0")
                if exact is None:
                    problem += "%!(BADPREC)"
        self._index(third or (first if width != "*" else None))
        if not verb:
            return problem + "%!(NOVERB)"
        if verb == "%":
            return problem + "%"
        if self._bad_index:
            return problem + f"%!{verb}(BADINDEX)"
        if self._next >= len(self._arguments):
            return problem + f"%!{verb}(MISSING)"
        value = self._arguments[self._next]
        self._next += 1
        return problem + Verb(flags, wide, exact, verb).format(value)

    def _index(self, written: str | None) -> None:
        if not written:
            return
        self._reordered = True
        number = int(written[1:-1][:8])
        if 1 <= number <= len(self._arguments):
            self._next = number - 1
        else:
            self._bad_index = True

    def _star(self) -> int | None:
        value = self._arguments[self._next] if self._next < len(self._arguments) else None
        self._next += self._next < len(self._arguments)
        return value if kind(value) == "int" and abs(value) <= _WIDEST else None  # type: ignore[arg-type]

    @staticmethod
    def _bounded(digits: str) -> int | None:
        return int(digits) if len(digits) < 8 and int(digits) <= _WIDEST else None


class Verb:
    """One directive: flags, width and precision (None where not given), and the verb."""

    def __init__(self, flags: str, width: int | None, precision: int | None, verb: str) -> None:
        self.minus, self.plus, self.sharp, self.space, self.zero = (flag in flags for flag in "-+# 0")
        self.named, self.syntax = verb == "v" and self.plus, verb == "v" and self.sharp
        if verb == "v":
            self.plus = self.sharp = False  # `%+v` and `%#v` are forms of their own, and say nothing about numbers
        self.width = width or 0
        self.precision = precision
        self.verb = verb

    def format(self, value: Any, depth: int = 0) -> str:
        if depth > values.MAX_NESTING:
            raise ValueError("a value nested too deeply to print")
        if self.verb == "T":
            return self._pad(values.type_name(value))
        if value is None:
            if self.syntax and depth:
                return "interface {}(nil)"
            return self._pad("<nil>") if self.verb == "v" or depth else f"%!{self.verb}(<nil>)"
        own = values.own_text(value) if self.verb in "vsxXq" and not self.syntax else None
        if own is not None:
            return self._string(own)
        match kind(value):
            case "bool":
                return self._pad_text(values.text(value)) if self.verb in "tv" else self._bad(value)
            case "int":
                return self._integer(value)
            case "float":
                return self._float(value)
            case "string":
                return self._string(value)
            case "slice":
                return self._slice(value, depth)
            case "map":
                return self._map(value, depth)
            case "struct":
                return self._struct(value, depth)
            case _:
                raise ValueError(f"can't print a value of type {type(value).__name__}")

    def _bad(self, value: Any) -> str:
        return f"%!{self.verb}({_typed(value)})"

    def _pad(self, text: str, *, zero: bool = False) -> str:
        missing = self.width - len(text)
        if missing <= 0:
            return text
        if self.minus:
            return text + " " * missing
        if zero and self.zero:
            sign = text[:1] if text[:1] in ("+", "-", " ") else ""
            return sign + "0" * missing + text[len(sign) :]
        return " " * missing + text

    def _pad_text(self, text: str) -> str:
        """Text may be filled with zeros as numbers are, but has no sign to keep in front."""
        return text.rjust(self.width, "0") if self.zero and not self.minus else self._pad(text)

    def _integer(self, value: int) -> str:
        if self.verb in "dv":
            return self._digits(value, f"{abs(value)}")
        if self.verb in "boOxX":
            digits = format(abs(value), self.verb.replace("O", "o"))
            prefix = {"b": "0b", "o": "0", "O": "0o", "x": "0x", "X": "0X"}[self.verb]
            return self._digits(value, digits, prefix if self.sharp or self.verb == "O" else "")
        if self.verb == "c":
            return self._pad(_rune(value))
        if self.verb == "q":
            return self._pad(_quoted_rune(value, ascii_only=self.plus))
        if self.verb == "U":
            shown = f" '{_rune(value)}'" if self.sharp and 0 <= value <= 0x10FFFF and _rune(value).isprintable() else ""
            return self._pad(f"U+{value & 0xFFFFFFFFFFFFFFFF:04X}{shown}")
        return self._bad(value)

    def _digits(self, value: int, digits: str, prefix: str = "") -> str:
        if self.precision is not None:
            digits = "" if self.precision == 0 and value == 0 else digits.rjust(self.precision, "0")
        sign = "-" if value < 0 else "+" if self.plus else " " if self.space else ""
        if self.zero and not self.minus and self.precision is None:
            digits = digits.rjust(self.width - len(sign), "0")
        return self._pad(sign + prefix + digits)

    def _float(self, value: float) -> str:
        if self.verb not in "veEfFgG":
            return self._bad(value)
        if math.isnan(value) or math.isinf(value):
            body = values.float_text(value).lstrip("+-")
        elif self.verb in "fF":
            body = f"{abs(value):.{6 if self.precision is None else self.precision}f}"
        elif self.verb in "eE":
            body = f"{abs(value):.{6 if self.precision is None else self.precision}{self.verb}}"
        elif self.precision is not None:
            body = f"{abs(value):.{self.precision}g}"
        else:
            body = values.float_text(abs(value))
        negative = math.copysign(1, value) < 0 and not math.isnan(value)
        infinite = "+" if math.isinf(value) else ""
        sign = "-" if negative else "+" if self.plus else " " if self.space else infinite
        body = body.upper() if self.verb in "EG" else body
        return self._pad(sign + body, zero=math.isfinite(value))

    def _string(self, value: str) -> str:
        if self.syntax:
            return self._pad(quote(value))
        if self.verb in "vs":
            return self._pad_text(value if self.precision is None else value[: self.precision])
        if self.verb == "q":
            cut = value if self.precision is None else value[: self.precision]
            raw = self.sharp and "`" not in cut and all(char.isprintable() or char == "\t" for char in cut)
            return self._pad_text(f"`{cut}`" if raw else quote(cut, ascii_only=self.plus))
        if self.verb in "xX":
            data = bytes_of(value)[: self.precision]
            shown = data.hex(" ") if self.space else data.hex()
            if self.sharp and data:
                shown = " ".join("0x" + part for part in shown.split(" "))
            return self._pad(shown.upper() if self.verb == "X" else shown)
        return self._bad(value)

    def _slice(self, value: Sequence[Any], depth: int) -> str:
        if self.syntax:
            return "[]interface {}{" + ", ".join(self.format(item, depth + 1) for item in value) + "}"
        return "[" + " ".join(self.format(item, depth + 1) for item in value) + "]"

    def _map(self, value: Any, depth: int) -> str:
        items = [
            f"{self.format(key, depth + 1)}:{self.format(item, depth + 1)}" for key, item in values.sorted_items(value)
        ]
        if self.syntax:
            return "map[string]interface {}{" + ", ".join(items) + "}"
        return "map[" + " ".join(items) + "]"

    def _struct(self, value: Any, depth: int) -> str:
        parts = [(name, self.format(item, depth + 1)) for name, item in (values.struct_fields(value) or {}).items()]
        if self.syntax:
            return values.type_name(value) + "{" + ", ".join(f"{name}:{item}" for name, item in parts) + "}"
        return "{" + " ".join(f"{name}:{item}" if self.named else item for name, item in parts) + "}"


def _typed(value: Any) -> str:
    """`int=1`, as messages about a wrong verb show an argument."""
    return "<nil>" if value is None else f"{values.type_name(value)}={values.text(value)}"


def _rune(value: int) -> str:
    return chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "�"


_QUOTE = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


def quote(value: str, *, mark: str = '"', ascii_only: bool = False) -> str:
    """A Go string literal of `value`, as `%q` writes it."""
    return mark + "".join(_quoted_char(char, mark, ascii_only) for char in text_from(bytes_of(value))) + mark


def _quoted_char(char: str, mark: str, ascii_only: bool) -> str:
    code = ord(char)
    if char == mark:
        return "\\" + mark
    if char in _QUOTE:
        return _QUOTE[char]
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if code < 0x7F or (char.isprintable() and not ascii_only):
        return char
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _quoted_rune(value: int, *, ascii_only: bool) -> str:
    return quote(_rune(value), mark="'", ascii_only=ascii_only)
