"""The conversation as it is drawn: what is folded, what is selected, what is near the screen; by keyboard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import textual
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection

from ollama_tui.appearance import themes
from ollama_tui.chats import Attachment, StoredMessage, Timings, ToolCall
from ollama_tui.panes.chat.transcript import Transcript
from ollama_tui.services.chat_session import ChatView, Reply
from tests.support.demo_engine import ANSWER, DemoEngine
from tests.support.workstation import until, workstation

WAITING = "reading the prompt…"
ANSWERED = StoredMessage(2, "assistant", "aye", model="bard", timings=Timings(26, 50_000_000, 84, 2_000_000_000))


class Showing(App[None]):
    """A transcript alone, in the colours of a theme."""

    def __init__(self, theme: str = "ink") -> None:
        super().__init__()
        loaded, _ = themes.load([themes.bundled_folder()])
        for one in loaded:
            self.register_theme(one)
        self.theme = theme
        self.transcript = Transcript()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.OUR_COLORS

    def compose(self) -> ComposeResult:
        yield self.transcript

    @property
    def lines(self) -> list[str]:
        strips = self.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


@asynccontextmanager
async def showing(view: ChatView, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Showing, Pilot[None]]]:
    app = Showing()
    async with app.run_test(size=size) as pilot:
        await app.transcript.show(view, WAITING)
        await pilot.pause()
        yield app, pilot


def talk(count: int, text: Callable[[int], str] = lambda number: f"words {number}") -> tuple[StoredMessage, ...]:
    return tuple(
        StoredMessage(
            number + 1, "assistant" if number % 2 else "user", text(number), model="bard" if number % 2 else ""
        )
        for number in range(count)
    )


CALLED = (
    StoredMessage(
        1,
        "user",
        "How warm is it in Oslo?\nAnd in Rome?",
        branch=(2, 3),
        attachments=(Attachment("map.png", "image", 240_000), Attachment("notes.txt", "text", 1200)),
    ),
    StoredMessage(
        2,
        "assistant",
        "",
        thinking="I must **look** it up.\n\nThere is a tool.",
        model="llama3.1:8b",
        branch=(1, 2),
        timings=Timings(thinking_ns=3_200_000_000),
        tool_calls=(ToolCall("weather", '{"city": "Oslo", "days": 1}'), ToolCall("weather", "not JSON [/b]")),
    ),
    StoredMessage(3, "tool", '{"city": "Oslo", "now": {"celsius": -4, "wind": "north"}}', tool_name="weather"),
    StoredMessage(4, "tool", "22 degrees", tool_name="weather"),
    StoredMessage(
        5,
        "assistant",
        "It is −4 °C in Oslo, 22 °C in Rome.",
        status="stopped",
        note="stopped",
        model="llama3.1:8b",
        timings=Timings(26, 50_000_000, 84, 2_000_000_000, 400_000_000, 310_000_000),
    ),
    StoredMessage(6, "user", "Thanks"),
    StoredMessage(7, "assistant", "You", status="failed", note="the runner died", model="llama3.1:8b"),
)


async def test_thinking_and_tools_are_folded_and_unfold_for_the_selected_message() -> None:
    async with showing(ChatView(messages=CALLED), (80, 60)) as (app, pilot):
        text = "\n".join(app.lines)
        assert "‹2/3›" in text
        assert "llama3.1:8b ‹1/2›" in text
        assert "+ map.png (image, 240 kB), notes.txt (text, 1.2 kB)" in text
        assert "▸ thought for 3.2 s · 9 words" in text
        assert '⚒ weather city="Oslo", days=1' in text
        assert "⚒ weather not JSON [/b]" in text
        assert "look" not in text
        assert "↳ weather · more is folded" in text
        assert "│ 22 degrees" in text
        assert "stopped · 42.0 tok/s · prompt 520 tok/s · first token 0.3 s · 84 tokens" in text
        assert "failed: the runner died" in text
        app.transcript.selected = 2
        app.transcript.toggle_fold()
        await pilot.pause()
        text = "\n".join(app.lines)
        assert "▾ thought for 3.2 s" in text
        assert "│ I must look it up." in text
        assert '"days": 1' in text
        assert "↳ weather · more is folded" in text


async def test_a_thought_under_way_tells_its_time_and_can_be_read() -> None:
    reply = Reply(2, "bard", thinking="let me see", phase="streaming", timings=Timings(thinking_ns=1_500_000_000))
    async with showing(ChatView(messages=talk(1), reply=reply)) as (app, pilot):
        assert any("▸ thinking… 1.5 s · 3 words" in line for line in app.lines)
        app.transcript.toggle_fold()
        await pilot.pause()
        assert any("│ let me see" in line for line in app.lines)


async def test_queued_prompts_wait_below_the_answer() -> None:
    queued = (StoredMessage(9, "user", "and then?", status="queued"),)
    async with showing(ChatView(messages=talk(1), reply=Reply(2, "bard"), queued=queued)) as (app, _):
        text = "\n".join(app.lines)
        assert text.index(WAITING) < text.index("and then?") < text.index("waits for the answer")


async def test_of_two_thousand_messages_few_are_drawn_and_reading_up_never_jumps() -> None:
    messages = talk(2000, lambda number: ANSWER if number % 2 else f"question {number}")
    async with showing(ChatView(messages=messages)) as (app, pilot):
        drawn = sum(item._drawn is not None for item in app.transcript.viewport.items)
        assert drawn < 10
        seen = app.lines
        for _ in range(30):
            await app.transcript.action_read_up()
            await pilot.pause()
            # The two lines that were on top are at the bottom now, whatever was guessed of what is above them.
            assert [line.rstrip(" ▐") for line in app.lines[-2:]] == [line.rstrip(" ▐") for line in seen[:2]]
            seen = app.lines
        app.transcript.scroll_home()
        await pilot.pause()
        assert "question 0" in app.lines[1]
        app.transcript.follow_end()
        await pilot.pause()
        assert app.transcript.is_vertical_scroll_end
        assert "fare thee well" in app.lines[-1]


async def test_a_reader_further_up_stays_where_they_read_while_words_come() -> None:
    messages = talk(40)
    async with showing(ChatView(messages=messages)) as (app, pilot):
        await app.transcript.action_read_up()
        await pilot.pause()
        seen = app.lines
        for count in range(1, 30):
            reply = Reply(99, "bard", text="more words\n\n" * count, phase="streaming")
            await app.transcript.show(ChatView(messages=messages, reply=reply), WAITING)
        await until(pilot, lambda: app.transcript.viewport.items[-1].text.count("more") == 29)
        await pilot.pause()
        assert [line.rstrip(" ▐") for line in app.lines] == [line.rstrip(" ▐") for line in seen]
        for _ in range(9):
            app.transcript.action_read_down()
        await pilot.pause()
        assert app.transcript.viewport.following


async def test_where_the_terminal_cannot_scroll_the_end_moves_in_steps() -> None:
    """Each move sends all lines: it leaves room below, and every word is on the screen none the less."""
    async with showing(ChatView(messages=talk(1))) as (app, pilot):
        app.transcript.styles.width = 40  # the other half of the screen is somebody else's
        await until(pilot, lambda: app.transcript.size.width == 40)
        tops: list[tuple[int, int]] = []
        for count in range(1, 60):
            reply = Reply(2, "bard", text="".join(f"w{number}  \n" for number in range(count)), phase="streaming")
            await app.transcript.show(ChatView(messages=talk(1), reply=reply), WAITING)
            rows = app.transcript.rows
            assert any(f"w{count - 1}" in row.content.plain for row in rows)
            if not tops or tops[-1] != (rows[0].item, rows[0].line):
                tops.append((rows[0].item, rows[0].line))
        assert len(tops) <= 60 // 4
        whole = StoredMessage(2, "assistant", reply.text, model="bard")
        await app.transcript.show(ChatView(messages=(*talk(1), whole)), WAITING)
        assert len(app.transcript.rows) == app.transcript.size.height


def test_frames_are_half_as_many_over_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Transcript().frames_per_second == 8
    monkeypatch.setattr("textual.constants.MAX_FPS", 20)
    assert Transcript().frames_per_second == 4


async def test_words_are_drawn_no_oftener_than_allowed_and_none_is_lost() -> None:
    asked = talk(1)
    async with showing(ChatView(messages=asked)) as (app, pilot):
        app.transcript.frames_per_second = 4.0
        frames: list[float] = []
        paint = app.transcript.paint

        def counted() -> None:
            frames.append(time.monotonic())
            paint()

        app.transcript.paint = counted
        text = ""
        for number in range(60):
            text += f"w{number} "
            reply = Reply(2, "bard", text=text, phase="streaming")
            await app.transcript.show(ChatView(messages=asked, reply=reply), WAITING)
            await asyncio.sleep(0.01)
        await until(pilot, lambda: any("w59" in line for line in app.lines))
        assert all(later - one > 0.2 for one, later in pairwise(frames[1:]))


async def test_the_selected_message_is_marked_and_its_words_and_code_are_copied() -> None:
    messages = (*talk(4), StoredMessage(5, "assistant", ANSWER, model="bard"))
    async with showing(ChatView(messages=messages), (80, 40)) as (app, pilot):
        transcript = app.transcript
        assert transcript.selected is None
        assert transcript.selected_text() == ANSWER
        assert transcript.selected_code() == 'def greet(name: str) -> str:\n    return f"hail, {name}"\n'
        transcript.select(-1)
        transcript.select(-1)
        await pilot.pause()
        assert (transcript.selected, transcript.selected_text()) == (4, "words 3")
        assert [line for line in app.lines if line.startswith("▌")] == ["▌", "▌ bard", "▌ words 3"]
        assert transcript.selected_code() == ""
        for _ in range(9):
            transcript.select(-1)
        assert transcript.selected == 1
        await transcript.show(ChatView(messages=messages[2:]), WAITING)
        assert transcript.selected is None


async def test_text_is_selected_across_lines() -> None:
    async with showing(ChatView(messages=(StoredMessage(1, "assistant", "one two\n\nthree four", model="m"),))) as (
        app,
        _,
    ):
        selection = Selection(Offset(6, 2), Offset(7, 4))
        assert app.transcript.get_selection(selection) == ("two\n\nthree", "\n")


async def test_a_line_of_a_megabyte_is_shown_at_once() -> None:
    message = StoredMessage(1, "assistant", "word " * 200_000, model="bard")
    async with showing(ChatView(messages=(message,))) as (app, _):
        assert app.lines[-2] == "  " + "word " * 14 + "word"


async def test_an_answer_of_markup_and_controls_is_text() -> None:
    hostile = "[/b] [red]x[/] \x1b[31m\x07 <b>y</b>\n\n```\n\x9b2J\n```\n\n| \x1b |\n|---|\n| \x08 |"
    async with showing(ChatView(messages=(StoredMessage(1, "assistant", hostile, model="[bold]\x1b"),))) as (app, _):
        text = "\n".join(app.lines)
        for shown in ("[/b] [red]x[/] ␛[31m␇ <b>y</b>", "\\x9b2J", "␛\n", "␈", "[bold]␛"):
            assert shown in text
        assert not {"\x1b", "\x07", "\x9b", "\x08"} & set(text)


async def test_copying_by_keys_in_the_workstation(tmp_path: Path) -> None:
    app = workstation(tmp_path, DemoEngine())
    async with app.run_test(size=(100, 40)) as pilot:
        await pilot.press("4")
        session = app.services.chats.shown
        await until(pilot, lambda: session.value.view.value.model)
        await pilot.press("x", "enter")
        await until(pilot, lambda: len(session.value.view.value.messages) == 2)
        await pilot.press("escape", "c")
        await until(pilot, lambda: app.clipboard == 'def greet(name: str) -> str:\n    return f"hail, {name}"\n')
        await pilot.press("k", "k", "y")
        await until(pilot, lambda: app.clipboard == "x")
        await pilot.press("j", "y")
        await until(pilot, lambda: app.clipboard == ANSWER)


@pytest.mark.skipif(textual.__version__ != "8.2.8", reason="the snapshots are those of textual 8.2.8")
@pytest.mark.parametrize("theme", ["ink", "paper", "contrast"])
@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=["80x24", "160x45"])
def test_how_it_looks(snap_compare: Callable[..., bool], size: tuple[int, int], theme: str) -> None:
    app = Showing(theme)
    told = StoredMessage(8, "user", "And in a table?"), StoredMessage(9, "assistant", ANSWER, model="llama3.1:8b")

    async def drive(pilot: Pilot[None]) -> None:
        await app.transcript.show(ChatView(messages=(*CALLED, *told)), WAITING)
        app.transcript.scroll_home()
        if size != (80, 24):
            app.transcript.selected = 2
            app.transcript.toggle_fold()
        await pilot.pause(0.1)

    assert snap_compare(app, terminal_size=size, run_before=drive)
