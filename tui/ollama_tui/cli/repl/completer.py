"""What Tab offers at the prompt behind a slash: commands, their words, models, and files for those who send some."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from ollama_tui import slash


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
        for word in slash.next_words(words, self._models() if words == ["/load"] else ()):
            if word.startswith(incomplete):
                yield Completion(f"{word} ", start_position=-len(incomplete), display=word)
