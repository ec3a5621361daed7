"""Modelfiles for the editor: drafts, faults, completion, the rendered prompt, and the model that is made of one.

What reads files or renders is done in threads; making a model is a job, which goes on without the editor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ollama_engine.engine import Engine
from ollama_engine.errors import EngineError, ModelNotFound, StoreError
from ollama_engine.types import ModelInfo, Progress
from ollama_tui.services import names
from ollama_tui.services.drafts import Draft, DraftStore
from ollama_tui.services.jobs import Job, JobService
from ollama_tui.services.latest import Latest
from ollama_tui.services.library import LibraryService
from ollama_tui.services.link import EngineLink

if TYPE_CHECKING:
    from ollama_engine.authoring import Checker, Completion, Finding, GgufFile, Sample
    from ollama_engine.authoring import Draft as Prompts


@dataclass(frozen=True)
class Checked:
    """`inside` are the lines (from 0) that continue the value of an instruction above them."""

    findings: tuple[Finding, ...] = ()
    inside: frozenset[int] = frozenset()

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)


@dataclass(frozen=True)
class Preview:
    """A rendered prompt, and whose template made it; or why there is none."""

    sample: str
    prompt: str = ""
    speaker: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Outcome:
    """How the making of a model ended; the job itself tells how far it is."""

    name: str
    state: Literal["", "done", "failed", "canceled"]
    error: EngineError | None = None


class ModelfileService:
    def __init__(
        self,
        link: EngineLink,
        library: LibraryService,
        jobs: JobService,
        drafts: DraftStore,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.outcome = Latest(Outcome("", ""))
        self._link = link
        self._library = library
        self._jobs = jobs
        self._drafts = drafts
        self._clock = clock
        self._checkers: dict[str, Checker] = {}
        self._renders = True
        """False when the server was found not to render prompts without answering them."""

    # Drafts

    async def begin(self, base: str = "") -> Draft:
        """The draft of a new model, as it was left, or a new one that builds on `base`."""
        from ollama_engine.authoring import new_text

        kept = await asyncio.to_thread(self._drafts.load, "new")
        text = new_text(base)
        return kept or Draft(text, text, str(Path.cwd()))

    async def edit(self, model: str) -> Draft:
        """The draft of a model in the store, as it was left, or its Modelfile; EngineError as `Engine.show`."""
        from ollama_engine.authoring import editable_text

        kept = await asyncio.to_thread(self._drafts.load, Draft("", "", "", edits=model).key)
        if kept is not None:
            return kept
        engine = await self._link.engine()
        info = await engine.show(model)
        parent = await self._parent(engine, info, model)
        text = editable_text(
            info.modelfile,
            model,
            parent=info.details.parent_model,
            parent_modelfile=parent.modelfile if parent is not None else "",
        )
        return Draft(text, text, str(Path.cwd()), edits=model, name=model)

    @staticmethod
    async def _parent(engine: Engine, info: ModelInfo, model: str) -> ModelInfo | None:
        name = info.details.parent_model
        if not name or name == model:
            return None
        try:
            return await engine.show(name)
        except EngineError:
            return None  # it is gone, or the name is a path

    async def keep(self, draft: Draft) -> None:
        """Write it down; StoreError where the disk does not take it."""
        try:
            await asyncio.to_thread(self._drafts.save, draft, self._clock())
        except OSError as error:
            raise StoreError(
                f"the draft cannot be kept: {error.strerror or error}", hint="Copy the text before you leave."
            ) from error

    async def forget(self, draft: Draft) -> None:
        await asyncio.to_thread(self._drafts.delete, draft.key)

    # While it is written

    async def check(self, draft: Draft) -> Checked:
        from ollama_engine.authoring import Checker, continued_lines

        checker = self._checkers.setdefault(draft.folder, Checker(Path(draft.folder)))
        view = self._library.view.value
        models = [model.name for model in view.models] if view.known else None
        findings = await asyncio.to_thread(checker.check, draft.text, models)
        return Checked(tuple(findings), await asyncio.to_thread(continued_lines, draft.text))

    async def complete(self, draft: Draft, lines: Sequence[str], row: int, column: int) -> Completion:
        """What may stand next at the cursor; row and column count from 0."""
        from ollama_engine.authoring import complete

        models = [model.name for model in self._library.view.value.models]
        return await asyncio.to_thread(complete, list(lines), row, column, models=models, base_dir=Path(draft.folder))

    async def files(self, draft: Draft) -> list[GgufFile]:
        """GGUF files of this machine that FROM could name."""
        from ollama_engine.authoring import find_gguf

        return await asyncio.to_thread(find_gguf, Path(draft.folder))

    async def preview(self, draft: Draft, number: int) -> Preview:
        """The prompt of the sample conversation of that number (counted round); a failure is part of it."""
        from ollama_engine.authoring import SAMPLES, read_draft, render_here

        sample = SAMPLES[number % len(SAMPLES)]
        try:
            prompts = await asyncio.to_thread(read_draft, draft.text, Path(draft.folder))
            prompt = await asyncio.to_thread(render_here, prompts, sample)
            if prompt is not None:
                speaker = "the TEMPLATE above" if prompts.template else f"the template of {prompts.files[0].name}"
                return Preview(sample.title, prompt, speaker)
            return await self._engines(draft, prompts, sample)
        except ModelNotFound:
            return Preview(sample.title, problem="The model that FROM names is not here yet, nor its template.")
        except EngineError as error:
            return Preview(sample.title, problem=error.message)

    async def _engines(self, draft: Draft, prompts: Prompts, sample: Sample) -> Preview:
        """The prompt as the engine renders it, or by the template that it shows."""
        from ollama_engine.authoring import is_stored, render_shown

        if not prompts.source:
            return Preview(sample.title, problem="There is no FROM line, and no TEMPLATE.")
        engine = await self._link.engine()
        model = draft.edits if is_stored(prompts.source) else prompts.source
        if not model:
            return Preview(sample.title, problem="The file that FROM names is not on this machine.")
        speaker = f"the template of {model}"
        info = await engine.show(model)
        if model == prompts.source and self._renders and not (info.messages and prompts.messages):
            async with aclosing(engine.chat(prompts.request(sample))) as chunks:
                async for chunk in chunks:
                    if chunk.debug_info is not None:
                        return Preview(sample.title, chunk.debug_info.rendered_template, speaker)
                    self._renders = False
                    break
        prompt = await asyncio.to_thread(render_shown, prompts, sample, info)
        return Preview(sample.title, prompt, speaker)

    def template_problem(self, text: str) -> str:
        """Why a text is no prompt template, in words; "" where it is one."""
        from ollama_engine.authoring import template_problem

        return template_problem(text)

    # Making it

    def quantizations(self) -> tuple[str, ...]:
        from ollama_engine.authoring import quantizations

        return quantizations()

    def is_there(self, name: str) -> bool:
        """Whether the store has a model of this name."""
        wanted = names.parse(name)
        return any(wanted.same(names.parse(model.name)) for model in self._library.view.value.models)

    def create(self, draft: Draft) -> Job:
        """Make the model `draft.name`; the draft is forgotten once that is done."""
        return self._jobs.start(f"create {draft.name}", draft.name, lambda engine: self._steps(engine, draft))

    async def _steps(self, engine: Engine, draft: Draft) -> AsyncGenerator[Progress, None]:
        from ollama_engine.authoring import create_steps

        outcome = Outcome(draft.name, "canceled")
        try:
            steps = create_steps(engine, draft.text, draft.name, Path(draft.folder), quantize=draft.quantize)
            async with aclosing(steps):
                async for step in steps:
                    yield step
            await self.forget(draft)
            outcome = Outcome(draft.name, "done")
        except EngineError as error:
            outcome = Outcome(draft.name, "failed", error)
            raise
        finally:
            self.outcome.publish(outcome)
