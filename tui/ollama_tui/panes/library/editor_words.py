"""What stands around the text of a Modelfile in its editor: faults, completions, the prompt, the progress."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from ollama_engine.errors import EngineError
from ollama_tui import figures
from ollama_tui.services.drafts import Draft
from ollama_tui.services.jobs import Job
from ollama_tui.services.modelfiles import Checked, Preview
from ollama_tui.text import one_line, visible
from ollama_tui.widgets.bar import bar

SHOWN_FAULTS = 3
MOST_PROMPT_LINES = 400
BAR = 24


def title(draft: Draft, checked: Checked | None, job: Job | None) -> Content:
    what = f"Editing {one_line(draft.edits)}" if draft.edits else "A new model"
    line = Content.styled(f" {what} ", "$accent bold")
    state = "being made" if job is not None else "changed; the draft is kept" if draft.changed else "unchanged"
    line += Content.styled(state, "$muted")
    if draft.quantize:
        line += Content.styled("  quantize to ", "$muted") + Content.styled(draft.quantize, "$primary")
    if checked is not None and checked.errors:
        line += Content.styled(f"  {checked.errors} error{'s' if checked.errors > 1 else ''}", "$error")
    return line


def faults(checked: Checked | None) -> Content:
    """The first faults, one a line."""
    if checked is None:
        return Content.styled("checking…", "$muted")
    if not checked.findings:
        return Content.styled("✓ no faults", "$success")
    lines: list[Content] = []
    for finding in checked.findings[:SHOWN_FAULTS]:
        sign, color = ("✗", "$error") if finding.severity == "error" else ("!", "$warning")
        place = f"line {finding.line}: " if finding.line else ""
        line = Content.styled(f"{sign} {place}", color) + Content(one_line(finding.message))
        lines.append(line + Content.styled(f"  {one_line(finding.hint)}" if finding.hint else "", "$muted"))
    more = len(checked.findings) - len(lines)
    if more > 0:
        lines[-1] += Content.styled(f"  and {more} more", "$muted")
    return Content("\n").join(lines)


def failure(error: EngineError) -> Content:
    """Why no model came of it."""
    line = Content.styled("✗ ", "$error") + Content(one_line(error.message))
    return line + Content.styled(f"  {one_line(error.hint)}" if error.hint else "", "$muted")


def completions(options: Sequence[str], width: int) -> Content:
    """As many as fit, in one line."""
    if not options:
        return Content("")
    line = Content.styled(" tab ", "$footer-key-foreground bold")
    for number, option in enumerate(options):
        word = Content((" · " if number else " ") + one_line(option))
        if line.cell_length + word.cell_length > width - 4:
            return line + Content.styled(" …", "$muted")
        line += word
    return line


def prompt(preview: Preview) -> Content:
    """The rendered prompt; line ends are those of the prompt."""
    head = Content.styled(f"Prompt of {preview.sample}", "$primary bold")
    if preview.speaker:
        head += Content.styled(f", by {one_line(preview.speaker)}", "$muted")
    if preview.problem:
        return head + Content("\n") + Content.styled(visible(preview.problem), "$warning")
    lines = visible(preview.prompt).split("\n")
    shown = "\n".join(lines[:MOST_PROMPT_LINES])
    rest = len(lines) - MOST_PROMPT_LINES
    body = Content(shown) + (Content.styled(f"\n… {rest} more lines", "$muted") if rest > 0 else Content(""))
    return head + Content("\n") + body + Content.styled("▏", "$accent")


def progress(job: Job) -> Content:
    """One line: what is done now, and how much of it."""
    line = Content.styled(f"making {one_line(job.model)}  ", "$accent") + Content(one_line(job.status)[:48])
    if not job.total:
        return line
    filled, rest = bar(job.part, BAR)
    line += Content("  ") + Content.styled(filled, "$primary") + Content.styled(rest, "$muted")
    return line + Content(f" {job.part:.0%} of {figures.size(job.total)}")
