r"""`pattern`: an ECMA-262 regular expression to an automaton over whole strings.

Understood: literals, `.`, classes with ranges and negation, `\d \w \s \D \W \S`, `\t \n \r \f \v \0 \cX \xHH \uHHHH
\u{…}`, groups (capturing, `(?:…)`, named), alternation, `* + ? {m} {m,} {m,n}` (lazy ones mean the same), and `^`, `$`
anywhere. A pattern that is not anchored may be found anywhere in the string, as JSON Schema says.

Not understood, and refused by name: lookaround, backreferences, `\b`, `\B`, `\p{…}`, inline flags. Where dialects
differ (is `é` a `\w`? is U+0085 a `\s`?) only characters are generated that match in all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar import charset
from ollama_engine.grammar.automaton import Automaton, Nfa, TooManyStates
from ollama_engine.grammar.charset import CharSet

MAX_PATTERN = 4096
"""Characters of a pattern."""
MAX_REPEAT = 1000
"""The largest count in `{m,n}`."""
MAX_NESTING = 60
"""Groups inside groups."""
SIMPLE_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
BEYOND_ASCII = charset.invert(charset.ASCII)
SHORTHAND: dict[str, tuple[CharSet, CharSet]] = {
    "d": (charset.DIGIT, charset.union(charset.DIGIT, BEYOND_ASCII)),
    "w": (charset.WORD, charset.union(charset.WORD, BEYOND_ASCII)),
    "s": (charset.SPACE, charset.WIDE_SPACE),
}
"""What matches in every dialect, and what matches in some."""
DOT = charset.invert(charset.LINE_END)


Part = Callable[[Nfa, int, int], None]
"""A piece of a pattern: adds itself to an NFA, between two of its states."""


def pattern_automaton(pattern: str, where: str) -> Automaton:
    """The strings in which `pattern` is found.

    Args:
        where: JSON pointer of the keyword, for the error.

    Raises:
        InvalidRequest: the pattern does not parse, uses what is not understood, or is too large.
    """
    if len(pattern) > MAX_PATTERN:
        raise InvalidRequest(f"pattern at {where} is longer than {MAX_PATTERN} characters")
    try:
        nfa = Nfa()
        start, end = nfa.state(), nfa.state()
        nfa.on(start, charset.ANY, start)
        nfa.on(end, charset.ANY, end)
        Parser(pattern).parse()(nfa, start, end)
        return nfa.determinise(start, end)
    except PatternError as error:
        raise InvalidRequest(f"pattern {shown(pattern)} at {where}: {error}") from None
    except TooManyStates:
        raise InvalidRequest(
            f"pattern {shown(pattern)} at {where} is too large",
            hint="Anchor it with ^ and $, or lower its repetition counts.",
        ) from None


def shown(pattern: str) -> str:
    """A pattern as an error message quotes it."""
    text = json.dumps(pattern, ensure_ascii=False)
    return text if len(text) <= 100 else text[:97] + '..."'


class PatternError(Exception):
    """What is wrong with a pattern."""


class Parser:
    """Recursive descent over one pattern; `parse` gives the Part it stands for."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0

    def parse(self) -> Part:
        part = self._alternatives()
        if self._at < len(self._text):
            raise PatternError(f"unbalanced ) at {self._at}")
        return part

    def _peek(self, n: int = 1) -> str:
        return self._text[self._at : self._at + n]

    def _take(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise PatternError("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    # -- structure ---------------------------------------------------------------------------------------------

    def _alternatives(self) -> Part:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else any_of(branches)

    def _sequence(self) -> Part:
        parts: list[Part] = []
        while self._at < len(self._text) and self._peek() not in "|)":
            parts.append(self._repeated())
        return in_order(parts)

    def _repeated(self) -> Part:
        anchor = self._peek() in ("^", "$")
        part = self._atom()
        times = self._times()
        if times is None:
            return part
        if anchor:
            raise PatternError("an anchor cannot be repeated")
        if self._peek() in ("*", "+", "?") or self._times() is not None:
            raise PatternError(f"nothing to repeat at {self._at}")
        return repeat(part, *times)

    def _times(self) -> tuple[int, int | None] | None:
        """The quantifier here, if there is one: least and most."""
        match self._peek():
            case "*" | "+" | "?" as sign:
                self._at += 1
                times = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
            case "{" if AMBIGUOUS_COUNT.match(self._text, self._at):
                raise PatternError("{,n} means different things in different dialects; write {0,n}")
            case "{" if counted := COUNT.match(self._text, self._at):
                self._at = counted.end()
                least = int(counted[1])
                most = least if counted[2] is None else int(counted[3]) if counted[3] else None
                if least > MAX_REPEAT or (most or 0) > MAX_REPEAT:
                    raise PatternError(f"repetition counts beyond {MAX_REPEAT} are not supported")
                if most is not None and most < least:
                    raise PatternError(f"{counted[0]} counts backwards")
                times = (least, most)
            case _:
                return None
        self._take("?")  # lazy: the same strings
        return times

    def _atom(self) -> Part:
        char = self._next()
        match char:
            case "(":
                return self._group()
            case "[":
                return one_of(self._class())
            case ".":
                return one_of(DOT)
            case "^":
                return lambda nfa, start, end: nfa.at_start(start, end)
            case "$":
                return lambda nfa, start, end: nfa.at_end(start, end)
            case "\\":
                return one_of(self._escape()[0])
            case "*" | "+" | "?":
                raise PatternError(f"nothing to repeat at {self._at - 1}")
            case "{" if COUNT.match(self._text, self._at - 1):
                raise PatternError(f"nothing to repeat at {self._at - 1}")
            case _:
                return one_of(charset.of(char))

    def _group(self) -> Part:
        if self._take("?") and not self._take(":"):
            name = GROUP_NAME.match(self._text, self._at)
            if name is None:
                kind = "lookaround" if self._peek() in ("=", "!") or self._peek(2) in ("<=", "<!") else "this group"
                raise PatternError(f"{kind} (?{self._peek(2)} is not supported")
            self._at = name.end()
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise PatternError(f"groups nest deeper than {MAX_NESTING}")
        part = self._alternatives()
        self._depth -= 1
        if not self._take(")"):
            raise PatternError("a group is not closed")
        return part

    # -- characters --------------------------------------------------------------------------------------------

    def _class(self) -> CharSet:
        inverted = self._take("^")
        surely: CharSet = ()
        possibly: CharSet = ()
        while not self._take("]"):
            low = self._class_item()
            if self._peek() == "-" and self._peek(2) != "-]" and len(self._peek(2)) == 2:
                self._at += 1
                first, last = _single(low), _single(self._class_item())
                if last < first:
                    raise PatternError(f"the range {chr(first)}-{chr(last)} is backwards")
                low = ((first, last),), ((first, last),)
            surely, possibly = charset.union(surely, low[0]), charset.union(possibly, low[1])
        return charset.invert(possibly) if inverted else charset.intersect(surely, charset.ANY)

    def _class_item(self) -> tuple[CharSet, CharSet]:
        char = self._next()
        if char == "\\":
            for escaped, meant in (("b", "\b"), ("-", "-")):
                if self._take(escaped):
                    return _literal(meant)
            return self._escape()
        return _literal(char)

    def _escape(self) -> tuple[CharSet, CharSet]:
        """What follows a backslash: the characters that match in every dialect, and in some."""
        char = self._next()
        if char in SHORTHAND:
            return SHORTHAND[char]
        if char.lower() in SHORTHAND:
            surely, possibly = SHORTHAND[char.lower()]
            return charset.invert(possibly), charset.invert(surely)
        if char in SIMPLE_ESCAPES and not (char == "0" and self._peek().isdigit()):
            return _literal(SIMPLE_ESCAPES[char])
        if char == "c" and self._peek().isascii() and self._peek().isalpha():
            return _literal(chr(ord(self._next()) % 32))
        if char in "xu":
            return self._code_point(char)
        if char.isdigit() or char == "k":
            raise PatternError(f"the backreference \\{char} is not supported")
        if char.isascii() and char.isalnum():
            raise PatternError(f"\\{char} is not supported")
        return _literal(char)

    def _code_point(self, kind: str) -> tuple[CharSet, CharSet]:
        found = CODE_POINT[kind].match(self._text, self._at)
        if found is None:
            raise PatternError(f"\\{kind} needs hexadecimal digits")
        self._at = found.end()
        code = int(found[0].strip("{}"), 16)
        if 0xD800 <= code <= 0xDBFF and (low := LOW_SURROGATE.match(self._text, self._at)):
            self._at = low.end()
            code = 0x10000 + ((code - 0xD800) << 10) + int(low[1], 16) - 0xDC00
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise PatternError(f"U+{code:04X} is no character")
        return _literal(chr(code))


def _literal(char: str) -> tuple[CharSet, CharSet]:
    return charset.of(char), charset.of(char)


def _single(item: tuple[CharSet, CharSet]) -> int:
    chars = item[0]
    if len(chars) != 1 or chars[0][0] != chars[0][1]:
        raise PatternError("a range needs one character on each side")
    return chars[0][0]


COUNT = re.compile(r"\{([0-9]{1,9})(,([0-9]{1,9})?)?\}")
AMBIGUOUS_COUNT = re.compile(r"\{,[0-9]+\}")
GROUP_NAME = re.compile(r"P?<[A-Za-z_$][A-Za-z0-9_$]*>")
CODE_POINT = {"x": re.compile("[0-9A-Fa-f]{2}"), "u": re.compile(r"[0-9A-Fa-f]{4}|\{[0-9A-Fa-f]{1,6}\}")}
LOW_SURROGATE = re.compile(r"\\u([dD][c-fC-F][0-9A-Fa-f]{2})")


# -- parts -----------------------------------------------------------------------------------------------------


def one_of(chars: CharSet) -> Part:
    return lambda nfa, start, end: nfa.on(start, chars, end)


def any_of(parts: list[Part]) -> Part:
    def build(nfa: Nfa, start: int, end: int) -> None:
        for part in parts:
            inner, outer = nfa.state(), nfa.state()
            nfa.free(start, inner)
            part(nfa, inner, outer)
            nfa.free(outer, end)

    return build


def in_order(parts: list[Part]) -> Part:
    def build(nfa: Nfa, start: int, end: int) -> None:
        at = start
        for part in parts:
            following = nfa.state()
            part(nfa, at, following)
            at = following
        nfa.free(at, end)

    return build


def repeat(part: Part, least: int, most: int | None) -> Part:
    def build(nfa: Nfa, start: int, end: int) -> None:
        at = start
        for _ in range(least):
            at = _once_more(nfa, part, at)
        if most is None:
            loop = nfa.state()
            nfa.free(at, loop)
            nfa.free(_once_more(nfa, part, loop), loop)
            at = loop
        else:
            for _ in range(most - least):
                nfa.free(at, end)
                at = _once_more(nfa, part, at)
        nfa.free(at, end)

    return build


def _once_more(nfa: Nfa, part: Part, at: int) -> int:
    first, last = nfa.state(), nfa.state()
    nfa.free(at, first)
    part(nfa, first, last)
    return last
