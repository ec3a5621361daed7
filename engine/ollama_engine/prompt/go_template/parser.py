"""Builds the tree of a Go template from its tokens, with `text/template/parse`'s rules and checks.

Functions and variables are checked here, so that a template with a misspelt name fails when it is created, not when
it first runs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from ollama_engine.prompt.go_template import literals, nodes
from ollama_engine.prompt.go_template.lexer import Token, tokens
from ollama_engine.prompt.go_template.source import Source

_MAX_DEPTH = 100


@dataclass
class Trees:
    """The templates of one source: the main one and what it defines."""

    main: nodes.Block
    defined: dict[str, nodes.Block] = field(default_factory=dict)


def parse(source: Source, functions: Collection[str]) -> Trees:
    """Parse a template; raises `TemplateError` with line and column."""
    return _Parser(source, functions).parse()


class _Parser:
    def __init__(self, source: Source, functions: Collection[str]) -> None:
        self._source = source
        self._functions = functions
        self._tokens = list(tokens(source))
        self._at = 0
        self._variables = ["$"]
        self._depth = 0
        self._ranges = 0
        self._defined: dict[str, nodes.Block] = {}

    def parse(self) -> Trees:
        main: list[nodes.Node] = []
        while self._peek().kind != "eof":
            if self._peek().kind == "open" and self._is_keyword(self._peek(1), "define"):
                self._define()
                continue
            node = self._text_or_action()
            if isinstance(node, Token):
                self._unexpected(node, "template")
            main.append(node)
        return Trees(nodes.Block(0, tuple(main)), self._defined)

    # -- tokens

    def _peek(self, ahead: int = 0) -> Token:
        """The token after the next `ahead` ones, spaces right after `{{` not counted."""
        at = self._at
        for _ in range(ahead):
            at += 1
            while self._tokens[at].kind == "space":
                at += 1
        return self._tokens[at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind != "eof":
            self._at += 1
        return token

    def _skip_space(self) -> Token:
        """The next token that is no space, not taken."""
        while self._tokens[self._at].kind == "space":
            self._at += 1
        return self._tokens[self._at]

    def _take(self) -> Token:
        self._skip_space()
        return self._next()

    def _expect(self, kind: str, context: str) -> Token:
        token = self._take()
        if token.kind != kind:
            self._unexpected(token, context)
        return token

    @staticmethod
    def _is_keyword(token: Token, name: str) -> bool:
        return token.kind == "keyword" and token.text == name

    def _fail(self, token: Token | nodes.Node, message: str) -> NoReturn:
        raise self._source.error(token.position, message)

    def _unexpected(self, token: Token, context: str) -> NoReturn:
        shown = {"eof": "EOF", "open": '"{{"', "close": '"}}"'}.get(token.kind) or repr(token.text[:20])
        if token.kind == "keyword" and context in ("template", "range body", "if body"):
            shown = f"{{{{{token.text}}}}}"
        self._fail(token, f"unexpected {shown} in {context}")

    @contextmanager
    def _nested(self, at: Token) -> Iterator[None]:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(at, f"more than {_MAX_DEPTH} levels of nesting")
        yield
        self._depth -= 1

    # -- structure

    def _define(self) -> None:
        self._next()
        token = self._take()
        name = self._name("define clause")
        self._expect("close", "define clause")
        self._finish_definition(token, name)

    def _finish_definition(self, token: Token, name: str) -> None:
        """The body of a `define` or `block`: variables and ranges of its surroundings are not seen in it."""
        outer, self._variables = self._variables, ["$"]
        ranges, self._ranges = self._ranges, 0
        body, end = self._body(token)
        if end.text != "end":
            self._unexpected(end, "define clause")
        self._expect("close", "end")
        self._variables, self._ranges = outer, ranges
        if name not in self._defined or not _has_content(self._defined[name]):
            self._defined[name] = body
        elif _has_content(body):
            self._fail(token, f'multiple definition of template "{name}"')

    def _name(self, context: str) -> str:
        token = self._take()
        if token.kind not in ("string", "raw"):
            self._unexpected(token, context)
        return str(self._literal(token).value)

    def _body(self, at: Token) -> tuple[nodes.Block, Token]:
        """Nodes up to `{{end}}` or `{{else`, whose keyword (already taken) comes with them."""
        found: list[nodes.Node] = []
        with self._nested(at):
            while True:
                if self._peek().kind == "eof":
                    self._fail(self._peek(), f"unexpected EOF: {{{{{at.text}}}}} has no {{{{end}}}}")
                node = self._text_or_action()
                if isinstance(node, Token):
                    return nodes.Block(at.position, tuple(found)), node
                found.append(node)

    def _text_or_action(self) -> nodes.Node | Token:
        """A node, or the `end` or `else` keyword that closes the body."""
        token = self._next()
        if token.kind == "text":
            return nodes.Text(token.position, token.text)
        if token.kind != "open":
            self._unexpected(token, "input")
        token = self._skip_space()
        if token.kind == "keyword":
            if token.text in ("end", "else"):
                return self._next()
            if token.text in ("break", "continue") and token.text not in self._functions:
                return self._loop_control()
            if token.text != "nil":
                self._next()
                return self._keyword(token)
        return nodes.Action(token.position, self._pipeline("command", "close"))

    def _keyword(self, token: Token) -> nodes.Node:
        if token.text in ("if", "with", "range"):
            return self._branch(token)
        if token.text == "template":
            name = self._name("template clause")
            return nodes.Invoke(token.position, name, self._optional_pipeline("template clause"))
        if token.text != "block":
            self._fail(token, f"unexpected {{{{{token.text}}}}}")
        name = self._name("block clause")
        pipe = self._pipeline("block clause", "close")
        self._finish_definition(token, name)
        return nodes.Invoke(token.position, name, pipe)

    def _optional_pipeline(self, context: str) -> nodes.Pipe | None:
        if self._skip_space().kind == "close":
            self._next()
            return None
        return self._pipeline(context, "close")

    def _loop_control(self) -> nodes.Node:
        token = self._next()
        self._expect("close", f"{{{{{token.text}}}}}")
        if not self._ranges:
            self._fail(token, f"{{{{{token.text}}}}} outside {{{{range}}}}")
        return (nodes.Break if token.text == "break" else nodes.Continue)(token.position)

    def _branch(self, token: Token) -> nodes.Branch:
        mark = len(self._variables)
        pipe = self._pipeline(token.text, "close")
        self._ranges += token.text == "range"
        body, end = self._body(token)
        self._ranges -= token.text == "range"
        otherwise: nodes.Block | None = None
        if end.text == "else":
            following = self._skip_space()
            if following.kind == "keyword" and following.text == token.text and token.text in ("if", "with"):
                self._next()
                with self._nested(token):
                    otherwise = nodes.Block(following.position, (self._branch(following),))
                del self._variables[mark:]
                return nodes.Branch(token.position, token.text, pipe, body, otherwise)
            self._expect("close", "else")
            otherwise, end = self._body(token)
            if end.text != "end":
                self._fail(end, "expected end; found {{else}}")
        self._expect("close", "end")
        del self._variables[mark:]
        return nodes.Branch(token.position, token.text, pipe, body, otherwise)

    # -- pipelines

    def _pipeline(self, context: str, end: str) -> nodes.Pipe:
        start = self._skip_space()
        declared, assign = self._declaration(context)
        commands: list[nodes.Command] = []
        while True:
            token = self._skip_space()
            if token.kind == end:
                self._next()
                break
            commands.append(self._command(context))
            token = self._skip_space()
            if token.kind == "|":
                self._next()
                if self._skip_space().kind == "|":
                    self._fail(token, f"missing value for {context}")
            elif token.kind != end:
                self._unexpected(token, context)
        if not commands:
            self._fail(start, f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.arguments[0], nodes.Literal | nodes.Dot | nodes.Nil):
                self._fail(command, f"non executable command in pipeline stage {stage}")
        if not assign:
            self._variables += declared
        return nodes.Pipe(start.position, tuple(declared), assign, tuple(commands))

    def _declaration(self, context: str) -> tuple[list[str], bool]:
        """`$x :=`, `$x =` or, in a range, `$i, $x :=` at the head of a pipeline."""
        first = self._skip_space()
        if first.kind != "variable":
            return [], False
        mark = self._at
        self._next()
        names = [first.text]
        token = self._skip_space()
        if token.kind == "," and context == "range":
            self._next()
            second = self._take()
            if second.kind != "variable":
                self._unexpected(second, "range")
            names.append(second.text)
            token = self._skip_space()
            if token.kind == ",":
                self._fail(token, "too many declarations in range")
            if token.kind not in (":=", "="):
                self._unexpected(token, "range")
        elif token.kind == ",":
            self._fail(token, f"too many declarations in {context}")
        if token.kind not in (":=", "="):
            self._at = mark
            return [], False
        self._next()
        if token.kind == "=":
            for name in names:
                self._check_variable(first, name)
        return names, token.kind == "="

    def _command(self, context: str) -> nodes.Command:
        start = self._skip_space()
        arguments = [self._operand(context)]
        while self._peek().kind == "space":
            token = self._skip_space()
            if token.kind in ("close", ")", "|"):
                break
            arguments.append(self._operand(context))
        token = self._peek()
        if token.kind not in ("close", ")", "|"):
            self._unexpected(token, "operand")
        return nodes.Command(start.position, tuple(arguments))

    def _operand(self, context: str) -> nodes.Node:
        token = self._next()
        node = self._term(token, context)
        names: list[str] = []
        while self._peek().kind == "field":
            names.append(self._next().text[1:])
        if not names:
            return node
        if isinstance(node, nodes.Field):
            return nodes.Field(node.position, (*node.names, *names))
        if isinstance(node, nodes.Variable):
            return nodes.Variable(node.position, node.name, (*node.names, *names))
        if isinstance(node, nodes.Literal | nodes.Dot | nodes.Nil):
            self._fail(token, f"unexpected . after term {token.text!r}")
        return nodes.Chain(node.position, node, tuple(names))

    def _term(self, token: Token, context: str) -> nodes.Node:
        if token.kind == "identifier":
            if token.text not in self._functions:
                self._fail(token, f'function "{token.text}" not defined')
            return nodes.Function(token.position, token.text)
        if token.kind == "keyword" and token.text == "nil":
            return nodes.Nil(token.position)
        if token.kind == "dot":
            return nodes.Dot(token.position)
        if token.kind == "field":
            return nodes.Field(token.position, (token.text[1:],))
        if token.kind == "variable":
            self._check_variable(token, token.text)
            return nodes.Variable(token.position, token.text)
        if token.kind == "(":
            with self._nested(token):
                return self._pipeline("parenthesized pipeline", ")")
        if token.kind not in ("bool", "number", "char", "string", "raw"):
            self._unexpected(token, context)
        return self._literal(token)

    def _literal(self, token: Token) -> nodes.Literal:
        readers = {"number": literals.number, "char": literals.char, "string": literals.string, "raw": literals.string}
        try:
            value = token.text == "true" if token.kind == "bool" else readers[token.kind](token.text)
        except ValueError as error:
            self._fail(token, str(error))
        return nodes.Literal(token.position, value, token.text)

    def _check_variable(self, at: Token, name: str) -> None:
        if name not in self._variables:
            self._fail(at, f'undefined variable "{name}"')


def _has_content(body: nodes.Block) -> bool:
    """Whether a definition says anything: one of space alone does not replace an earlier one."""
    return any(not isinstance(node, nodes.Text) or node.text.strip() for node in body.nodes)
