"""`Lines`: text that is painted again only when it changes, so that polling costs nothing while nothing happens."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class Lines(Static):
    """Plain text or styled `Content`; never markup."""

    def __init__(self, *, id: str) -> None:
        super().__init__("", id=id, markup=False)
        self._shown = Content("")

    def show(self, text: Content | str) -> None:
        """Show `text`; nothing happens where it is there already."""
        content = Content(text) if isinstance(text, str) else text
        # Content compares equal by its words alone; the same words in other colours are a change.
        if (content.plain, content.spans) != (self._shown.plain, self._shown.spans):
            self._shown = content
            self.update(content)
