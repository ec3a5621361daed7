"""What is done with models from the Library: questions first, then the service's verb or a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ollama_engine.errors import EngineError, NotSupported
from ollama_engine.types import ModelSummary
from ollama_tui import figures
from ollama_tui.panes.library import quantize_choices
from ollama_tui.panes.library.chosen import Chosen
from ollama_tui.panes.library.layer_lines import names as listed
from ollama_tui.services import names
from ollama_tui.services.drafts import Draft
from ollama_tui.text import visible
from ollama_tui.widgets.ask_screen import AskScreen
from ollama_tui.widgets.choose_screen import ChooseScreen
from ollama_tui.widgets.confirm_screen import ConfirmScreen

_MOST_LINES = 10


class ModelWork(Chosen):
    """The actions of `Installed` that change models. An argument is what stood behind the command, "" for a key."""

    def _ask(self, asking: Awaitable[None]) -> None:
        async def ask() -> None:
            try:
                await asking
            except EngineError as error:
                self.report(error)

        self.run_worker(ask, group="work")

    # Delete

    def action_delete(self, given: str = "") -> None:
        models = self.targets(given)
        if models:
            self._ask(self._delete(models))

    async def _delete(self, models: Sequence[ModelSummary]) -> None:
        library = self.services.library
        going = [model.name for model in models]
        loaded = {running.name for running in self.services.residency.view.value.running} & set(going)
        try:
            freed = await library.would_free(going)
        except NotSupported:
            frees = "The server does not tell how much disk that frees."
        except EngineError as error:
            frees = f"What that frees is not known: {error.message}"
        else:
            frees = f"Frees {figures.size(freed.freed) or 'nothing'} of disk."
            if freed.users:
                frees += f" {figures.size(freed.kept)} stay, used by {listed(freed.users)}."
        lines = [f"{model.name}  {figures.size(model.size)}".rstrip() for model in models[:_MOST_LINES]]
        if len(models) > _MOST_LINES:
            lines.append(f"and {len(models) - _MOST_LINES} more")
        memory = f"\nIn memory, and leaves it first: {listed(sorted(loaded))}." if loaded else ""
        title = f"Delete {going[0]}?" if len(going) == 1 else f"Delete {len(going)} models?"
        text = "\n".join(lines if len(going) > 1 else []) + ("\n\n" if len(going) > 1 else "") + frees + memory
        if not await self.app.push_screen_wait(ConfirmScreen(title, text, verb="deletes")):
            return
        errors = await library.delete(going, loaded)
        self.unmark()
        for error in errors:
            self.report(error)
        if len(errors) < len(going):
            self.announce(f"{going[0]} is deleted." if len(going) == 1 else f"{len(going) - len(errors)} deleted.")

    # Names

    def action_copy(self, given: str = "") -> None:
        self._rename_or_copy(given, "Copy", self.services.library.copy, "is a copy of")

    def action_rename(self, given: str = "") -> None:
        self._rename_or_copy(given, "Rename", self.services.library.rename, "is the new name of")

    def _rename_or_copy(self, given: str, word: str, verb: Callable[[str, str], Awaitable[None]], said: str) -> None:
        model, name = self.one_target(given, word)
        if model is None:
            return

        async def work() -> None:
            new = name
            if not new or self.name_problem(new):
                title = f"{word} {model.name} to"
                note = "NAME or NAME:TAG, for a registry HOST/NAMESPACE/NAME:TAG"
                new = await self.app.push_screen_wait(
                    AskScreen(title, new or model.name, note=note, check=self.name_problem)
                )
            if new:
                await verb(model.name, new)
                self.turn_to_new(new)
                self.announce(f"{names.parse(new).display} {said} {model.name}.")

        self._ask(work())

    def name_problem(self, text: str) -> str:
        """Why a new model cannot be called so, in words."""
        if wrong := names.problem(text):
            return wrong
        name = names.parse(text)
        taken = {names.parse(model.name).key for model in self.services.library.view.value.models}
        return f"There is a model {name.display} already." if name.key in taken else ""

    # Long work

    def action_push(self, given: str = "") -> None:
        model, name = self.one_target(given, "Push")
        if model is not None:
            self._ask(self._push(model, name))

    async def _push(self, model: ModelSummary, name: str) -> None:
        if not name or names.problem(name):
            note = "NAMESPACE/NAME at ollama.com, HOST/NAMESPACE/NAME elsewhere; http:// before it for one without TLS"
            screen = AskScreen(f"Push {model.name} as", name or model.name, note=note, check=names.problem)
            name = await self.app.push_screen_wait(screen) or ""
        if not name:
            return
        target = names.parse(name)
        if not target.same(names.parse(model.name)):
            await self.services.library.copy(model.name, target.display)
        self.services.jobs.push(target.display, insecure=target.scheme == "http", total=model.size)

    def action_quantize(self, given: str = "") -> None:
        model, kind = self.one_target(given, "Quantize")
        if model is not None:
            self._ask(self._quantize(model, kind))

    async def _quantize(self, model: ModelSummary, kind: str) -> None:
        offered = quantize_choices.choices(model)
        again = quantize_choices.is_quantized(model)
        if not kind:
            if not offered:
                self.app.notify(f"{model.name} is as small as can be.", severity="warning", markup=False)
                return
            level = model.details.quantization_level
            note = f"Its weights are quantized already ({level}): what is lost adds up." if again else ""
            screen = ChooseScreen(f"Quantize {model.name} to", offered, note=note, current=quantize_choices.USUAL)
            kind = await self.app.push_screen_wait(screen) or ""
        if not kind:
            return
        if problem := quantize_choices.problem(kind):
            self.app.notify(visible(problem), severity="warning", markup=False)
            return
        suggested = quantize_choices.name_for(model.name, kind)
        screen = AskScreen(f"Name of {model.name} as {kind}", suggested, check=self.name_problem)
        name = await self.app.push_screen_wait(screen)
        if name:
            self.services.jobs.quantize(model.name, kind, name, again=again)

    def action_cancel(self) -> None:
        self._ask(self._cancel())

    async def _cancel(self) -> None:
        jobs = [job for job in self.services.jobs.view.value if job.state == "running"]
        chosen: str | None = str(jobs[0].id) if jobs else None
        if len(jobs) > 1:
            choices = [(str(job.id), job.title, f"{job.part:.0%}") for job in jobs]
            chosen = await self.app.push_screen_wait(ChooseScreen("Cancel", choices))
        if chosen:
            self.services.jobs.cancel(int(chosen))

    # Modelfiles

    def action_new(self, base: str = "") -> None:
        self._ask(self._write_modelfile(self.services.modelfiles.begin(base or self.table.selected or "")))

    def action_edit(self, given: str = "") -> None:
        if name := given or self.table.selected:
            self._ask(self._write_modelfile(self.services.modelfiles.edit(name)))

    async def _write_modelfile(self, beginning: Awaitable[Draft]) -> None:
        from ollama_tui.panes.library.editor import ModelfileEditor

        self.app.push_screen(ModelfileEditor(self.services, await beginning), lambda made: self.turn_to_new(made or ""))

    # Registries

    def action_updates(self, given: str = "") -> None:
        asked = self.targets(given) if given or self.marked else None
        if asked != []:
            self._ask(self._look_for_updates(None if asked is None else [model.name for model in asked]))

    async def _look_for_updates(self, asked: Sequence[str] | None) -> None:
        count = len(self.models if asked is None else asked)
        self.app.notify(f"Asking registries about {count} {'model' if count == 1 else 'models'}…", markup=False)
        found = await self.services.library.look_for_updates(asked)
        newer = sorted(update.name for update in found if update.state == "newer")
        unknown = [update for update in found if update.state == "unknown"]
        told = f"{listed(newer)}: newer at the registry (↑). f pulls." if newer else "No model has a newer version."
        if unknown:
            told += f" {len(unknown)} could not be asked about: {unknown[0].reason}"
        self.announce(told)

    def action_fetch(self, given: str = "") -> None:
        models = self.targets(given)
        if models:
            self._ask(self._fetch([model.name for model in models]))

    async def _fetch(self, pulled: Sequence[str]) -> None:
        for name in pulled:
            await self.services.pulls.enqueue(name)
        self.unmark()
        self.post_message(self.Wanted("pulls", ()))
