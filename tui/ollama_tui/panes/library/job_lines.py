"""Long work on models, one line for each job: how far it is, how fast, what is left."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from ollama_tui import figures
from ollama_tui.services.jobs import Job
from ollama_tui.text import one_line
from ollama_tui.widgets.bar import bar

_BAR = 20


def job_lines(jobs: Iterable[Job]) -> list[Content]:
    return [_line(job) for job in jobs if job.state == "running"]


def _line(job: Job) -> Content:
    filled, rest = bar(job.part, _BAR)
    line = Content(" ") + Content.styled(filled, "$primary") + Content.styled(rest, "$muted")
    line += Content(f" {job.part:>4.0%} " if job.total else "      ")
    line += Content(one_line(job.title))
    if job.rate:
        line += Content.styled(f"  {figures.size(int(job.rate))}/s", "$muted")
    if job.eta:
        line += Content.styled(f"  {figures.duration(job.eta)} left", "$muted")
    elif job.status:
        line += Content.styled(f"  {one_line(job.status)}", "$muted")
    return line
