"""The text of a template, and errors that say where in it they are."""

from __future__ import annotations

from dataclasses import dataclass

from ollama_engine.errors import TemplateError


@dataclass(frozen=True)
class Source:
    text: str

    def error(self, position: int, message: str, *, hint: str = "") -> TemplateError:
        """An error at a character offset, with line and column counted from 1."""
        before = self.text[:position]
        line = before.count("\n") + 1
        column = position - (before.rfind("\n") + 1) + 1
        return TemplateError(f"template line {line}, column {column}: {message}", hint=hint)
