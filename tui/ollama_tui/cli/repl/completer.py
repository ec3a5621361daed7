"""What Tab offers at the prompt behind a slash: commands, their words, models, and files for those who send some."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from ollama_engine.options import OPTION_KINDS

COMMANDS = ("/set", "/show", "/load", "/save", "/list", "/clear", "/bye", "/exit", "/help", "/?")
SETTINGS = (
    "parameter",
    "system",
    "history",
    "nohistory",
    "wordwrap",
    "nowordwrap",
    "format",
    "noformat",
    "verbose",
    "quiet",
    "think",
    "nothink",
)
PARTS = ("info", "license", "modelfile", "parameters", "system", "template")
_WORDS = {
    ("/set",): SETTINGS,
    ("/set", "parameter"): tuple(name for name, kind in OPTION_KINDS.items() if kind != "object"),
    ("/set", "format"): ("json",),
    ("/set", "think"): ("low", "medium", "high", "max"),
    ("/show",): PARTS,
    ("/help",): ("set", "show", "shortcuts"),
    ("/?",): ("set", "show", "shortcuts"),
}


class CommandCompleter(Completer):
    def __init__(self, models: Callable[[], list[str]]) -> None:
        self._models = models
        self._paths = PathCompleter()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        words = text.split()
        incomplete = "" if not words or text[-1].isspace() else words.pop()
        if not words and "/" in incomplete[1:]:
            yield from self._paths.get_completions(Document(incomplete), complete_event)
            return
        for word in self._choices(tuple(words)):
            if word.startswith(incomplete):
                yield Completion(f"{word} ", start_position=-len(incomplete), display=word)

    def _choices(self, before: tuple[str, ...]) -> Iterable[str]:
        if not before:
            return COMMANDS
        if before == ("/load",):
            return self._models()
        return _WORDS.get(before, ())
