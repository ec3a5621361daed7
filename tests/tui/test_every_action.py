"""Every action of the table is done by its own key where it is at home, or by its name, and is seen to do something.

A script is a line a step: `ACTION: WORDS` presses the first key of the action and waits until the words are on the
screen (`!WORDS`: until they are not); `ACTION(ARGUMENT)` types it on the command line; `> KEYS` presses keys on the
way, `= TEXT` types.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from ollama_engine.bench import History
from ollama_engine.types import CreateRequest, ModelInfo, Progress
from ollama_tui import actions
from ollama_tui.app import Workstation
from ollama_tui.chats import ChatStore, StoredMessage, ToolCall
from tests.support.bench_runs import result, run
from tests.support.demo_engine import DemoEngine, demo_devices, demo_requests, demo_running
from tests.support.demo_pulls import demo_pull, failed_pull
from tests.support.pressed import record
from tests.support.workstation import screen_text, talked, until, workstation

SCRIPTS = {
    "frame": """
        app.pulls: 2.1 GB of 4.9 GB
        app.ps: SLOTS
        app.chat: And what of the morrow?
        > escape
        app.bench: Plan llama3.1:8b
        app.library: 5 models
        app.last_pane: Plan llama3.1:8b
        app.previous_pane: And what of the morrow?
        > escape
        app.next_pane: Plan llama3.1:8b
        app.zoom_in: !History
        app.zoom_out: History
        app.zoom_in: !History
        app.back: History
        app.help: Keys · Bench
        > escape
        app.palette: Search for commands
        > escape
        app.command: Begin a conversation with a model
        > escape
        app.set(refresh 3s): refresh = 3s
        app.settings: SETTING VALUE FROM
        > escape
        app.theme: paper
        > escape
        app.library: 5 models
        app.keymap(vim): D delete
        app.keymap(default): ^d delete
        app.interrupt: ^q quits
        app.chat_with(qwen2.5-coder): A new conversation
        app.quit_anywhere:
    """,
    "tour": """
        app.tour: Choose a model in the Library
        app.tour_end: !Choose a model in the Library
    """,
    "quit": """
        app.quit:
    """,
    "library": """
        > down
        library.mark: 1 marked
        library.mark_all: 5 marked
        library.clear: !marked
        library.filter: filter models
        = coder
        > enter
        library.clear: bard:latest
        library.details: !architecture
        library.details: architecture
        library.section_next: o plans for another
        library.section_previous: architecture
        library.scroll:
        library.scroll:
        library.yank: Copied
        library.plan: Plan memory for
        > escape
        library.copy: Copy qwen2.5-coder:7b to
        > escape
        library.rename: Rename qwen2.5-coder:7b to
        > escape
        library.quantize: Quantize qwen2.5-coder:7b to
        > escape
        library.delete: Delete qwen2.5-coder:7b?
        > escape
        library.updates: No model has a newer version.
        library.fetch: qwen2.5-coder:7b pulling
        app.library: 5 models
        library.refresh: 5 models
        library.new: FROM qwen2.5-coder:7b
        > escape
        library.edit: Editing qwen2.5-coder:7b
        > escape
        library.push: Push qwen2.5-coder:7b as
        > enter
        library.cancel: push qwen2.5-coder:7b: canceled
        library.sort: ▼ NAME
        library.sort_name: NAME▲
        library.sort_size: SIZE▼
        library.sort_parameters: PARAMS▼
        library.sort_quantization: QUANT▲
        library.sort_context: CTX▼
        library.sort_fit: FITS▲
        library.sort_family: FAMILY▲
        library.sort_capabilities: !FAMILY▲
        library.sort_modified: AGE▼
        library.sort_loaded: ▼ NAME
        tabs.next: models as of
        tabs.previous: 5 models
        library.bench: Plan qwen2.5-coder:7b
        app.library: 5 models
        library.chat: A new conversation
    """,
    "discover": """
        > right_square_bracket
        discover.details: !download
        discover.details: download
        discover.filter: words in the name
        = phi
        > enter
        discover.clear: llama3.2:1b
        discover.fitting: of 84 models
        discover.sort_name: NAME ▲
        discover.sort_size: ▲SIZE
        discover.sort_fit: FITS ▲
        discover.sort_params: ▲PARAM
        discover.sort_context: ▲CTX
        discover.copy: Copied
        discover.pull: is in the queue of Pulls
    """,
    "pulls": """
        > 2
        pulls.pause: paused
        pulls.pause: pulling 42%
        pulls.up:
        pulls.down:
        pulls.limit: Limit pulls to
        > escape
        pulls.pull: Pull a model
        > escape
        pulls.pause_all: !pulling 42%
        pulls.resume_all: pulling 42%
        > end
        pulls.clear: !mistral:7b
        pulls.cancel: Cancel
        cancel.leave: !Cancel
        pulls.cancel: Cancel
        cancel.keep: !Cancel
        pulls.cancel: Cancel
        cancel.remove: !Cancel
    """,
    "pulls that ended": """
        > 2 end
        pulls.chat: A new conversation
    """,
    "pulls that failed": """
        > 2 end up
        pulls.retry: !file does not exist
    """,
    "ps": """
        > 3
        ps.requests:
        > down
        ps.cancel: The request is canceled.
        ps.requests:
        ps.pin: stays in memory until it is unloaded
        ps.keep: Keep llama3.1:8b for
        ask.leave: !Keep llama3.1:8b for
        ps.every: Refresh every
        > escape
        ps.refresh:
        ps.load: Load which model?
        picker.down:
        picker.up:
        picker.leave: !Load which model?
        ps.load: Load which model?
        picker.take: qwen2.5-coder:7b is in memory.
        ps.unload_all: Unload all
        confirm.no: !Unload all
        ps.unload: leaves memory once its requests have ended
    """,
    "ps, all": """
        > 3
        ps.unload_all: Unload all
        confirm.yes: All leave memory
    """,
    "ps, to chat": """
        > 3
        ps.chat: A new conversation
    """,
    "prompt": """
        > 4
        chat.model: Which model answers
        > escape
        > ctrl+u
        chat.newline:
        > ctrl+u
        = /hel
        chat.complete: /help
        > ctrl+u ctrl+u
        chat.earlier: Speak!
        chat.later: !Speak! ▏
        chat.edit_outside:
        > ctrl+u
        = hail
        chat.send: ▎ hail
        = more
        > enter shift+tab
        chat.take_back: more
        > ctrl+u
        chat.stop: stopped
        chat.attach(~/note.txt): note.txt
        > escape
        chat.detach: !note.txt
        > i
        chat.leave: enter write
        chat.write: enter send
        chat.attach: File to send along
        > escape
        chat.settings: Answers of
        > escape
        chat.conversations: Conversations
        chat.conversations: !Conversations
        chat.new: A new conversation
    """,
    "tools": """
        > 4
        chat.result: Result of weather
    """,
    "messages": """
        > 4 escape
        chat.previous: ▌
        chat.next:
        chat.copy: Copied
        chat.copy_code: Copied
        chat.fold:
        chat.regenerate: ‹2/2›
        chat.branch_before: ‹1/2›
        chat.branch_after: ‹2/2›
        chat.edit: Say it otherwise
        text.leave: !Say it otherwise
        chat.edit: Say it otherwise
        = !
        text.take: Speak!!
        chat.up:
        chat.down:
        chat.top: Who goes there?
        chat.end:
        chat.rename: Name of the conversation
        > escape
        chat.export: Write the conversation to
        > escape
        chat.import: Read a conversation from
        > escape
        chat.fork:
        chat.delete: Delete this conversation?
        > enter
        chat.undo: Speak!
    """,
    "conversations": """
        > 4 ctrl+l
        chats.filter: words in a title
        = morrow
        > enter
        chats.close: 1 conversation
        chats.sort_speed:
        chats.sort_title:
        chats.sort_date:
        chats.rename: Name of the conversation
        > escape
        chats.export: Write the conversation to
        > escape
        chats.import: Read a conversation from
        > escape
        chats.delete: Delete this conversation?
        > enter
        chats.undo: Back again
        chats.open: enter send
    """,
    "answers": """
        > 4 ctrl+s
        chat_settings.filter: filter
        = top_k
        > enter
        chat_settings.edit: enter takes
        = 7
        ask.take: top_k 7
        chat_settings.reset: top_k 40
        chat_settings.leave: num_ctx
        dialog.keys: Keys · Settings
        keys.close: !Keys · Settings
    """,
    "bench": """
        > 5
        bench.plan: What to measure
        plan.mark: [ ] llama3.1:8b
        plan.next:
        plan.mark: [x] bard:latest
        plan.previous:
        screen.next:
        = 7
        screen.previous:
        plan.leave: !What to measure
        > right_square_bracket
        bench.mark: 2 marked
        bench.mark: 1 and 2 marked
        bench.name: Name of run
        > escape
        bench.export: Write run
        > escape
        bench.delete: Delete run
        > escape
        bench.compare: against run 1
        bench.back: Plan llama3.1:8b
        > right_square_bracket
        bench.open: tokens/s of all answers together, over requests at once
        bench.plot: over rounds
        bench.run: round
        bench.stop: r measure
    """,
    "plan": """
        > 5 e
        plan.take: round
    """,
    "editor": """
        > e
        editor.preview: Prompt of
        editor.problem:
        modelfile.end:
        modelfile.top:
        editor.quantize: Quantize weights
        > escape
        editor.create: line 6
        > end
        = x
        editor.leave: Leave the editor?
        leaving.stay: !Leave the editor?
        modelfile.end:
        > enter
        = PAR
        modelfile.complete: PARAMETER
        editor.leave: Leave the editor?
        leaving.keep: !Leave the editor?
        > e
        editor.leave: Leave the editor?
        leaving.drop: !Leave the editor?
    """,
    "files": """
        > e
        editor.files: GGUF file
    """,
    "making": """
        > down e
        editor.create: Name of the model
        = 2
        > enter
        editor.stop: Stop making
        > escape
        editor.aside: still being made
    """,
    "settings": """
        > comma
        settings.filter: filter settings
        = glyphs
        > enter
        settings.next: glyphs = ascii
        settings.unset: left to its default
        settings.edit: enter takes
        > escape
        settings.copy: Copied
        > escape
        settings.leave: 5 models
    """,
    "lists": """
        list.down: llama3.1:8b
        list.up:
        list.page_down:
        list.page_up:
        list.last:
        list.first:
        app.keymap(vim): D delete
        list.half_down:
        list.half_up:
    """,
    "choices": """
        > z
        choose.leave: !Quantize bard
        > z
        choose.take: Name of bard:latest as
    """,
    "command line": """
        > colon
        = pul
        command.complete: :pull
        command.complete_back: :pulls
        command.take: 1 pulling
        > 1 colon
        command.older: :pulls
        command.newer: !:pulls
        command.leave: 5 models
    """,
}

BY_MOUSE = {"screen.copy"}
"""They need a selection, which is made with the mouse; they have a test of their own."""

MODELFILE = """FROM bard
# What it is told before everything else.
SYSTEM \"\"\"Thou art a poet.
Thou answerest in verse.\"\"\"
PARAMETER temperature 0.8
PARAMETER top_k 40
PARAMETER num_ctx lots
"""
STEP = re.compile(r"(?P<id>[a-z_]+\.[a-z_]+)(?:\((?P<argument>.*)\))?:\s*(?P<words>.*)")


class Maker(DemoEngine):
    """One whose first model was made of a Modelfile with a fault in it."""

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        info = await super().show(name, verbose=verbose)
        info.modelfile = MODELFILE if name.startswith("bard") else f"FROM {name}\n"
        return info

    async def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        yield Progress("making it")
        await self._wait()
        async for progress in super().create(request):
            yield progress


async def called(folder: Path) -> None:
    """A saved conversation in which the model waits for what a tool gives."""
    store = ChatStore(folder / "chats.db")
    conversation = await store.start("llama3.1:8b", "", 2.0)
    asked = await store.add_message(conversation, "user", "Does it rain?", status="done", model="", now=2.0)
    answer = await store.add_message(conversation, "assistant", "", status="done", model="llama3.1:8b", now=2.0)
    call = ToolCall("weather", '{"city": "Oslo"}', "c1")
    await store.save_message(StoredMessage(answer, "assistant", "", "done", tool_calls=(call,), parent_id=asked))
    await store.aclose()


async def busy(folder: Path, name: str) -> tuple[Workstation, Maker]:
    """A workstation that has something to do each action of a script with."""
    await (called if name == "tools" else talked)(folder)
    (folder / "note.txt").write_text("a note", encoding="utf-8")
    with History(folder / "bench.db") as history:
        for factor in (1.0, 0.5):
            history.save(run(*(result([98 * factor, 100 * factor], "llama3.1:8b", concurrency=n) for n in (1, 2, 4))))
    missing = failed_pull("qwen3:99b", "pull model manifest: file does not exist", "Look for its name.")
    gone = demo_pull("mistral:7b", "done", part=1)
    engine = Maker(
        running=[demo_running(), demo_running("bard:latest", "idle")],
        pulls=[demo_pull("qwen3:8b"), demo_pull("phi3:mini", "queued"), missing, gone],
    )
    engine.running_requests = demo_requests()
    engine.machine = [msgspec.structs.replace(one, utilization=2.0) for one in demo_devices()]
    return workstation(folder, engine), engine


def shown(app: Workstation) -> str:
    return " ".join(screen_text(app).split())


class Stage:
    """A script at work."""

    def __init__(self, app: Workstation, pilot: Pilot[None], done: set[str]) -> None:
        self.app = app
        self.pilot = pilot
        self.done = done

    async def play(self, line: str) -> None:
        try:
            match line[0]:
                case ">":
                    for key in line[1:].split():
                        await self._press(key)
                case "=":
                    await self._press(*line[1:].strip())
                case _:
                    await self._act(line)
        except AssertionError:
            pytest.fail(f"{line!r} did nothing on this screen:\n{screen_text(self.app)}")

    async def _press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause(0.05)

    async def _act(self, line: str) -> None:
        step = STEP.fullmatch(line)
        assert step is not None
        action = actions.by_id(step["id"])
        keys = self.app.keymap.of(action)
        self.done.discard(action.id)
        if step["argument"] or not keys:
            command = f"{action.commands[0]} {step['argument'] or ''}"
            await self._press(self.app.keymap.of(actions.by_id("app.command"))[-1], *command.strip(), "enter")
        else:
            await self._press(keys[0])
        await until(self.pilot, lambda: action.id in self.done, 10.0)
        words = step["words"]
        if words.startswith("!"):
            await until(self.pilot, lambda: words[1:] not in shown(self.app), 10.0)
        elif words:
            await until(self.pilot, lambda: words in shown(self.app), 10.0)


def steps(script: str) -> list[str]:
    return [line.strip() for line in script.strip().splitlines()]


@pytest.mark.parametrize("name", SCRIPTS)
async def test_each_step_does_its_action(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = record(monkeypatch)
    monkeypatch.setenv("EDITOR", f"{_editor(tmp_path)}")
    app, engine = await busy(tmp_path, name)
    app.theme = "ink"
    async with app.run_test(size=(160, 45), notifications=True) as pilot:
        await until(pilot, lambda: app.focused and app.services.library.view.value.known)
        await until(pilot, lambda: app.services.fits.view.value)
        if name in ("library", "prompt", "making", "bench", "plan"):
            engine.gate = asyncio.Semaphore(0)
        stage = Stage(app, pilot, done)
        for line in steps(SCRIPTS[name]):
            await stage.play(line)


def _editor(folder: Path) -> Path:
    """An editor that writes without asking."""
    script = folder / "editor.sh"
    script.write_text('#!/bin/sh\necho edited elsewhere > "$1"\n', encoding="utf-8")
    script.chmod(0o700)
    return script


def test_every_action_is_in_a_script() -> None:
    matches = [STEP.fullmatch(line) for script in SCRIPTS.values() for line in steps(script)]
    scripted = {match["id"] for match in matches if match is not None}
    assert scripted | BY_MOUSE == {action.id for action in actions.ACTIONS}


async def test_selected_text_is_copied(tmp_path: Path) -> None:
    app, _ = await busy(tmp_path, "")
    async with app.run_test(size=(160, 45)) as pilot:
        await until(pilot, lambda: "architecture" in screen_text(app))
        app.screen.query_one("#library-details-text").text_select_all()
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "architecture" in app.clipboard)
