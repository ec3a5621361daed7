"""Writes the table of docs/settings.md from the schema: `python -m tests.support.settings_page`."""

from __future__ import annotations

from pathlib import Path

from ollama_engine.settings_view import markdown_table

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
BEGIN, END = "<!-- made from the schema; see tests/support/settings_page.py -->\n", "<!-- end of the table -->\n"


def page() -> str:
    """The page as it should be: what is written by hand, and the table of now."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown_table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
