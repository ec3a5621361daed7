"""The editor of Modelfiles: a text that is checked while it is typed, and beside it the prompt that comes of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize
from textual.getters import query_one
from textual.timer import Timer
from textual.widgets import TextArea

from ollama_engine.errors import EngineError
from ollama_tui import figures
from ollama_tui.panes.library import editor_words as words
from ollama_tui.panes.library.editor_area import ModelfileArea
from ollama_tui.panes.library.leave_screen import LeaveScreen, Leaving
from ollama_tui.services import Services, names
from ollama_tui.services.drafts import Draft
from ollama_tui.services.jobs import Job
from ollama_tui.services.modelfiles import Checked
from ollama_tui.text import visible
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.confirm_screen import ConfirmScreen
from ollama_tui.widgets.dialog import Dialog
from ollama_tui.widgets.key_line import KeyLine
from ollama_tui.widgets.lines import Lines
from ollama_tui.widgets.pick_screen import Choice, PickScreen
from ollama_tui.widgets.reader import Reader

CHECK_SECONDS = 0.25
"""After the last key press; a check reads files, and draws."""
KEEP_SECONDS = 1.0
BESIDE = 110
SAMPLES = 3
"""Prompts to look at; the step after the last hides them."""


_KINDS = {"Q8_0": "loses nothing to speak of", "Q4_K_M": "the usual choice", "Q2_K": "loses much"}


class ModelfileEditor(Dialog[str | None]):
    """Gives the name of the model that was made, or None. A modal screen, so that the panes' keys are text here."""

    DEFAULT_CSS = """
    ModelfileEditor {
        background: $background;
        #editor-title { height: 1; background: $panel; }
        #editor-body { height: 1fr; layout: vertical; }
        #modelfile { height: 4fr; border: none; padding: 0; background: $background; }
        #editor-prompt {
            height: 3fr; border-top: solid $border-blurred; padding: 0 1; scrollbar-size-vertical: 1;
            &:focus { border-top: solid $border; }
        }
        #editor-prompt-text { height: auto; }
        #editor-options { height: 1; background: $panel; color: $muted; }
        #editor-faults { height: auto; max-height: 6; padding: 0 1; }
        &.-beside {
            #editor-body { layout: horizontal; }
            #modelfile { width: 3fr; height: 1fr; }
            #editor-prompt {
                width: 2fr; height: 1fr; border-top: none; border-left: vkey $border-blurred;
                &:focus { border-left: vkey $border; border-top: none; }
            }
        }
    }
    """
    AUTO_FOCUS = "#modelfile"
    groups = ("editor",)
    topic = "Modelfile"

    area = query_one("#modelfile", ModelfileArea)
    title_line = query_one("#editor-title", Lines)
    fault_lines = query_one("#editor-faults", Lines)
    option_line = query_one("#editor-options", Lines)
    prompt_box = query_one("#editor-prompt", Reader)
    prompt_text = query_one("#editor-prompt-text", Lines)

    def __init__(self, services: Services, draft: Draft) -> None:
        super().__init__()
        self.services = services
        self.draft = draft
        self._checked: Checked | None = None
        self._job: Job | None = None
        self._making: str | None = None
        self._sample = 0
        self._check_timer: Timer | None = None
        self._keep_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Lines(id="editor-title")
        with Container(id="editor-body"):
            yield ModelfileArea(self.draft.text)
            with Reader(id="editor-prompt"):
                yield Lines(id="editor-prompt-text")
        yield Lines(id="editor-options")
        yield Lines(id="editor-faults")
        yield KeyLine()

    def on_mount(self) -> None:
        self._draw_title()
        self.fault_lines.show(words.faults(None))
        first = self.area.document.get_line(0)
        self.area.move_cursor((0, len(first)))
        self._check_soon()
        if self.draft.changed:
            self._tell("This is the draft as it was left. Esc and then d throws it away.")
        self.run_worker(self._follow_jobs, group="jobs")
        self.run_worker(self._follow_outcome, group="outcome")

    def on_resize(self, event: Resize) -> None:
        self.set_class(event.size.width >= BESIDE, "-beside")

    # While it is typed

    @on(TextArea.Changed, "#modelfile")
    def _typed(self) -> None:
        if self.area.text == self.draft.text:
            return
        self.draft = replace(self.draft, text=self.area.text)
        self._draw_title()
        self._check_soon()
        if self._keep_timer is None:
            self._keep_timer = self.set_timer(KEEP_SECONDS, self._keep)

    @on(TextArea.SelectionChanged, "#modelfile")
    def _moved(self) -> None:
        if not self.area.tries:
            self.run_worker(self._complete, group="complete", exclusive=True)

    def _check_soon(self) -> None:
        if self._check_timer is not None:
            self._check_timer.stop()
        self._check_timer = self.set_timer(CHECK_SECONDS, self._check_now)

    def _check_now(self) -> None:
        self.run_worker(self._check, group="check", exclusive=True)
        self.run_worker(self._render_prompt, group="prompt", exclusive=True)

    def _keep(self) -> None:
        self._keep_timer = None
        self.run_worker(partial(self._keep_draft, self.draft), group="keep")

    async def _keep_draft(self, draft: Draft) -> None:
        try:
            await self.services.modelfiles.keep(draft)
        except EngineError as error:
            self._report(error)

    async def _check(self) -> Checked:
        self._checked = await self.services.modelfiles.check(self.draft)
        self.area.show_checked(self._checked)
        if self._job is None:
            self.fault_lines.show(words.faults(self._checked))
        self._draw_title()
        self.refresh_bindings()
        return self._checked

    async def _complete(self) -> None:
        row, column = self.area.cursor_location
        lines = self.area.document.lines
        completion = await self.services.modelfiles.complete(self.draft, lines, row, column)
        if self.area.cursor_location == (row, column) and self.area.document.lines == lines:
            self.area.offer(row, completion.start, completion.options)
            self.option_line.show(words.completions(completion.options, self.size.width))

    async def _render_prompt(self) -> None:
        if self._sample < SAMPLES:
            preview = await self.services.modelfiles.preview(self.draft, self._sample)
            self.prompt_text.show(words.prompt(preview))

    # Drawing

    def _draw_title(self) -> None:
        self.title_line.show(words.title(self.draft, self._checked, self._job))

    def _tell(self, text: str) -> None:
        self.app.notify(visible(text), markup=False)

    def _report(self, error: EngineError) -> None:
        text = visible(f"{error.message}\n{error.hint}" if error.hint else error.message)
        self.app.notify(text, severity="error", timeout=8, markup=False)

    # What the user does

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "create" | "leave" | "quantize" | "files":
                return self._job is None
            case "stop" | "aside":
                return self._job is not None
            case "problem":
                return self._checked is not None and bool(self._checked.findings)
            case _:
                return True

    def action_preview(self) -> None:
        self._sample = (self._sample + 1) % (SAMPLES + 1)
        self.prompt_box.display = self._sample < SAMPLES
        self.prompt_box.scroll_home(animate=False)
        self.run_worker(self._render_prompt, group="prompt", exclusive=True)

    def action_problem(self) -> None:
        """To the next fault below the cursor, from the last one to the first."""
        lines = sorted({max(0, finding.line - 1) for finding in self._checked.findings} if self._checked else ())
        row, _ = self.area.cursor_location
        if lines:
            self.area.focus()
            self.area.move_cursor((next((line for line in lines if line > row), lines[0]), 0))

    def action_quantize(self) -> None:
        kinds = [Choice("none", "as they are", "nothing is quantized")]
        kinds += [Choice(kind, kind, _KINDS.get(kind, "")) for kind in self.services.modelfiles.quantizations()]
        self.app.push_screen(PickScreen("Quantize weights in F16, BF16 or F32 to", kinds), self._take_quantization)

    def _take_quantization(self, kind: str | None) -> None:
        if kind is not None:
            self.draft = replace(self.draft, quantize="" if kind == "none" else kind)
            self._draw_title()
            self._keep()

    def action_files(self) -> None:
        self.run_worker(self._choose_file, group="files", exclusive=True)

    async def _choose_file(self) -> None:
        files = await self.services.modelfiles.files(self.draft)
        if not files:
            self._tell("No GGUF file is in the usual places. Write its path behind FROM; tab completes it.")
            return
        choices = [Choice(file.path, file.path, figures.size(file.size)) for file in files]
        self.app.push_screen(PickScreen("A GGUF file of this machine", choices), self._take_file)

    def _take_file(self, path: str | None) -> None:
        """It goes into the FROM line where there is one, else above all."""
        if path is None:
            return
        lines = self.area.document.lines
        row = next((row for row, line in enumerate(lines) if line.lower().lstrip().startswith("from")), None)
        if row is None:
            self.area.insert(f"FROM {path}\n", (0, 0))
        else:
            self.area.replace(f"FROM {path}", (row, 0), (row, len(lines[row])))

    # Making the model

    def action_create(self) -> None:
        self.run_worker(self._create, group="create", exclusive=True)

    async def _create(self) -> None:
        checked = await self._check()
        first = next((finding for finding in checked.findings if finding.severity == "error"), None)
        if first is not None:
            self.area.move_cursor((max(0, first.line - 1), 0))
            place = f"line {first.line}: " if first.line else ""
            self._report(EngineError(f"{place}{first.message}", hint=first.hint))
            return
        edits = self.draft.edits
        note = (
            f"{edits} is replaced; another name makes another model." if edits else "As name, name:tag or owner/name."
        )
        name = await self.app.push_screen_wait(
            AskScreen("Name of the model", self.draft.name, note=note, check=names.problem)
        )
        if name is None:
            return
        if name != edits and self.services.modelfiles.is_there(name):
            text = f"There is a model {name} already. The new one takes its place; what only the old one used is freed."
            if not await self.app.push_screen_wait(ConfirmScreen(f"Replace {name}?", text, verb="replaces it")):
                return
        self.draft = replace(self.draft, name=name)
        self._stop_keeping()
        await self._keep_draft(self.draft)
        self._making = name
        self._job = self.services.modelfiles.create(self.draft)
        self._draw_job()

    async def _follow_jobs(self) -> None:
        async for jobs in self.services.jobs.view.watch():
            mine = next((job for job in jobs if self._job is not None and job.id == self._job.id), None)
            if self._job is not None:
                self._job = mine if mine is not None and mine.state == "running" else None
                self._draw_job()

    async def _follow_outcome(self) -> None:
        """The Library tells of the end, also where the editor was left; here it is closed or gone on with."""
        async for outcome in self.services.modelfiles.outcome.watch():
            if outcome.name != self._making:
                continue
            self._job, self._making = None, None
            self._draw_job()
            if outcome.state == "done":
                self._leave(outcome.name)
            elif outcome.error is not None:
                self.fault_lines.show(words.failure(outcome.error))

    def _draw_job(self) -> None:
        job = self._job
        self.area.read_only = job is not None
        self.fault_lines.show(words.faults(self._checked) if job is None else words.progress(job))
        self._draw_title()
        self.refresh_bindings()

    def action_stop(self) -> None:
        if (job := self._job) is not None:
            question = ConfirmScreen(
                f"Stop making {job.model}?", "What was made so far is thrown away; the draft stays.", verb="stops"
            )
            self.app.push_screen(question, lambda yes: self.services.jobs.cancel(job.id) if yes else None)

    def action_aside(self) -> None:
        if self._job is not None:
            self._tell(f"{self._job.model} is still being made; it will be in the Library.")
            self._leave(None)

    # The end

    def action_leave(self) -> None:
        if self.draft.changed:
            self.app.push_screen(LeaveScreen("e" if self.draft.edits else "n"), self._answered)
        else:
            self.run_worker(partial(self._end, keep=False), group="end")

    def _answered(self, answer: Leaving | None) -> None:
        if answer in ("keep", "drop"):
            self.run_worker(partial(self._end, keep=answer == "keep"), group="end")

    async def _end(self, *, keep: bool) -> None:
        self._stop_keeping()
        if keep:
            await self._keep_draft(self.draft)
        else:
            await self.services.modelfiles.forget(self.draft)
        self._leave(None)

    def _stop_keeping(self) -> None:
        if self._keep_timer is not None:
            self._keep_timer.stop()
            self._keep_timer = None

    def _leave(self, made: str | None) -> None:
        if self.is_current:
            self.dismiss(made)
