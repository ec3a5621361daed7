"""What `run` prints while an answer arrives: thinking, wrapped words, the blank line, timings."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.types import ChatChunk, GenerateChunk, Message
from ollama_tui.cli.answer import AnswerPrinter, cut_note, tell_of, timings
from ollama_tui.cli.word_wrap import WordWrap


def printed(pieces: list[tuple[str, str]], *, terminal: bool = False, width: int = 0, thinking: bool = True) -> str:
    out = io.StringIO()
    with AnswerPrinter(out, terminal=terminal, width=width, thinking=thinking) as printer:
        for kind, text in pieces:
            (printer.think if kind == "think" else printer.write)(text)
        printer.end(blank_line=True)
    return out.getvalue()


def test_an_answer_ends_with_a_blank_line() -> None:
    assert printed([("say", "Good "), ("say", "morrow.")]) == "Good morrow.\n\n"


def test_thinking_is_set_apart_from_the_answer() -> None:
    pieces = [("think", "Let me "), ("think", "see."), ("say", "Yes.")]
    assert printed(pieces) == "Thinking...\nLet me see.\n...done thinking.\n\nYes.\n\n"


def test_thinking_at_a_terminal_is_grey_and_the_answer_is_not() -> None:
    shown = printed([("think", "Hm."), ("say", "Yes.")], terminal=True)
    assert shown == "\x1b[90mThinking...\nHm.\n...done thinking.\n\n\x1b[0mYes.\n\n"


def test_hidden_thinking_leaves_nothing_but_the_answer() -> None:
    assert printed([("think", "Hm."), ("say", "Yes.")], thinking=False) == "Yes.\n\n"


def test_an_answer_broken_off_while_thinking_gives_the_colour_back() -> None:
    out = io.StringIO()
    with contextlib.suppress(KeyboardInterrupt), AnswerPrinter(out, terminal=True, width=80, thinking=True) as printer:
        printer.think("So th")
        raise KeyboardInterrupt
    assert out.getvalue() == "\x1b[90mThinking...\nSo th\x1b[0m"


def test_a_model_cannot_steer_the_terminal_but_a_file_gets_every_byte() -> None:
    assert printed([("say", "a\x1b]0;owned\x07b")], terminal=True) == "a]0;ownedb\n\n"
    assert printed([("say", "a\x1b[2Jb")]) == "a\x1b[2Jb\n\n"


def test_words_move_to_the_next_line_whole_however_they_are_cut_into_pieces() -> None:
    pieces = [("say", piece) for piece in ("To b", "e, or n", "ot to", " be: th", "at is")]
    assert printed(pieces, width=10) == "To be, or\nnot to be:\nthat is\n\n"


def test_an_answer_that_is_broken_off_is_closed_by_a_blank_line() -> None:
    out = io.StringIO()
    printer = AnswerPrinter(out, terminal=True, width=80, thinking=True)
    printer.think("So th")
    printer.break_off()
    assert out.getvalue() == "\x1b[90mThinking...\nSo th\x1b[0m\n\n"
    out = io.StringIO()
    AnswerPrinter(out, terminal=True, width=80, thinking=True).break_off()
    assert out.getvalue() == ""


def test_no_colour_is_used_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert (
        printed([("think", "Hm."), ("say", "Yes.")], terminal=True) == "Thinking...\nHm.\n...done thinking.\n\nYes.\n\n"
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("大きな国の話をしよう。", ["大きな国の", "話をしよ", "う。"]),  # no line begins with a full stop
        ("看「北京」吗", ["看「北京」", "吗"]),
        ("abc模型def", ["abc模型def"]),
        ("abcdefg模型", ["abcdefg模", "型"]),
        ("👩‍💻👩‍💻👩‍💻👩‍💻👩‍💻👩‍💻", ["👩‍💻👩‍💻👩‍💻👩‍💻👩‍💻", "👩‍💻"]),
        ("🇩🇪🇫🇷", ["🇩🇪🇫🇷"]),
        ("naïve café au", ["naïve café", "au"]),
    ],
)
def test_scripts_without_blanks_wrap_between_their_characters(text: str, lines: list[str]) -> None:
    wrap = WordWrap(10)
    assert (wrap.feed(text) + wrap.flush()).split("\n") == lines


def test_wide_characters_are_printed_as_they_come() -> None:
    wrap = WordWrap(80)
    assert wrap.feed("你好吗") == "你好"


def test_a_terminal_that_changes_its_size_is_wrapped_to_the_new_one() -> None:
    widths = iter([20, 10])
    out = io.StringIO()
    printer = AnswerPrinter(out, terminal=True, width=20, thinking=True, measure=lambda: next(widths))
    printer.write("a long line that ")
    printer.write("ends here now ")
    printer.end(blank_line=False)
    assert out.getvalue().split("\n") == ["a long line that", "ends here", "now"]


def test_a_conversation_that_was_cut_is_told_of() -> None:
    chunk = ChatChunk(model="m", created_at="", message=Message("assistant"), done=True, dropped_messages=1)
    assert cut_note(chunk).startswith("the oldest message was left out")
    chunk.dropped_messages, chunk.truncated_tokens = 3, 7
    assert cut_note(chunk).startswith("the oldest 3 messages were left out")
    assert "; 7 tokens were cut out of the prompt" in cut_note(chunk)


@given(st.text(alphabet="ab 模\n\t-", max_size=200), st.integers(3, 20), st.integers(1, 7))
def test_wrapping_loses_no_word_and_heeds_no_cut(text: str, width: int, step: int) -> None:
    whole, cut = WordWrap(width), WordWrap(width)
    at_once = whole.feed(text) + whole.flush()
    in_pieces = "".join(cut.feed(text[i : i + step]) for i in range(0, len(text), step)) + cut.flush()
    assert in_pieces == at_once
    assert "".join(at_once.split()) == "".join(text.split())


@given(st.text(alphabet="abc ", max_size=200), st.integers(3, 20))
def test_wrapped_lines_fit_the_width(text: str, width: int) -> None:
    wrap = WordWrap(width)
    lines = (wrap.feed(text) + wrap.flush()).split("\n")
    assert all(len(line) <= width for line in lines if line.strip())


def last_chunk(**metrics: Any) -> GenerateChunk:
    return GenerateChunk(model="m", created_at="", response="", done=True, **metrics)


def test_timings_name_counts_durations_and_rates() -> None:
    metrics = last_chunk(
        total_duration=2_500_000_000,
        load_duration=300_000_000,
        prompt_eval_count=10,
        prompt_eval_duration=100_000_000,
        eval_count=50,
        eval_duration=2_000_000_000,
    )
    assert timings(metrics) == (
        "total duration:       2.5s\n"
        "load duration:        300ms\n"
        "prompt eval count:    10 token(s)\n"
        "prompt eval duration: 100ms\n"
        "prompt eval rate:     100.00 tokens/s\n"
        "eval count:           50 token(s)\n"
        "eval duration:        2s\n"
        "eval rate:            25.00 tokens/s\n"
    )


def test_timings_leave_out_what_was_not_measured() -> None:
    assert timings(last_chunk(total_duration=5_000_000)) == "total duration:       5ms\n"


def test_what_is_otherwise_than_asked_for_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    notice = "not enough memory: loaded with a context of 4096 tokens instead of 8192"
    tell_of(
        GenerateChunk(model="m", created_at="", response="", done=True, notices=[notice, "\x1b[31mred"]), verbose=False
    )
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"Warning: {notice}\nWarning: [31mred\n")
