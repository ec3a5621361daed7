"""Text leaves whole and in time: no half character, nothing of a stop string, nothing lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_engine.runner.text_stream import TextStream

LETTERS = st.sampled_from(["a", "b", "c", "ab", "é", "🌍", "\n", "e\u0301", "你"])
TEXTS = st.lists(LETTERS, max_size=30).map("".join) | st.text(max_size=30)
STOPS = st.lists(st.lists(LETTERS, max_size=4).map("".join), max_size=4)


def cut_before_stop(text: str, stops: Iterable[str]) -> tuple[str, bool]:
    """The text up to the stop string that begins first, and whether there was one."""
    starts = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return (text[: min(starts)], True) if starts else (text, False)


def test_the_stop_string_that_was_found_is_told() -> None:
    text = TextStream(["other", "STOP", "ST!"])
    assert (text.push(b"so ST"), text.matched) == ("so ", "")
    assert (text.push(b"OP and other"), text.matched) == ("", "STOP")
    text = TextStream(["abcd", "bc"])
    text.push(b"xabc")
    text.flush()
    assert text.matched == "bc"


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def stream(pieces: Iterable[bytes], stops: Iterable[str]) -> tuple[list[str], bool]:
    """What leaves after each piece and at the end, and whether a stop string ended it."""
    text = TextStream(list(stops))
    out = [text.push(piece) for piece in pieces]
    out.append(text.flush())
    return out, text.stopped


@given(TEXTS, STOPS, st.lists(st.integers(min_value=0), max_size=40))
@example("abc", ["abcd", "bc"], [])
@example("abcd", ["abcd", "bc"], [3])
@example("xabcy", ["abcd", "bc"], [4])
def test_what_leaves_is_the_text_before_the_first_stop_string(text: str, stops: list[str], cuts: list[int]) -> None:
    out, stopped = stream(in_pieces(text.encode(), cuts), stops)
    assert ("".join(out), stopped) == cut_before_stop(text, stops)


@given(TEXTS, STOPS, st.lists(st.integers(min_value=0), max_size=40))
def test_at_no_moment_has_more_left_than_any_continuation_allows(text: str, stops: list[str], cuts: list[int]) -> None:
    """Whatever is out stays right when the text goes on with the rest of any stop string."""
    stream = TextStream(stops)
    seen, out = b"", ""
    for piece in in_pieces(text.encode(), cuts):
        out += stream.push(piece)
        seen += piece
        whole = seen.decode(errors="ignore")
        for stop in filter(None, stops):
            for n in range(len(stop)):
                if whole.endswith(stop[:n]):
                    assert cut_before_stop(whole + stop[n:], stops)[0].startswith(out)


@given(TEXTS, st.lists(st.integers(min_value=0), max_size=40))
def test_without_stop_strings_every_whole_character_leaves_at_once(text: str, cuts: list[int]) -> None:
    stream = TextStream()
    seen, out = b"", ""
    for piece in in_pieces(text.encode(), cuts):
        out += stream.push(piece)
        seen += piece
        assert out == seen.decode(errors="ignore")


@given(st.binary(max_size=40), st.lists(st.integers(min_value=0), max_size=40))
def test_bytes_that_are_no_text_become_replacement_characters(data: bytes, cuts: list[int]) -> None:
    """However they are cut; only a character that is still incomplete at the end is left out."""
    out, _ = stream(in_pieces(data, cuts), [])
    whole = data.decode(errors="replace")
    assert "".join(out) in (whole, whole.removesuffix("\ufffd"))
    if not data.endswith(b"\n"):
        finished, _ = stream([*in_pieces(data, cuts), b"\n"], [])
        assert "".join(finished) == whole + "\n"


def test_an_invalid_byte_is_one_replacement_character_and_the_text_goes_on() -> None:
    assert stream([b"a\xff", b"b\xc3", b"\xa9"], []) == (["a\ufffd", "b", "é", ""], False)


def test_a_character_cut_off_by_the_end_is_left_out() -> None:
    assert stream(["🌍".encode()[:3]], []) == (["", ""], False)


def test_text_is_held_back_no_longer_than_it_may_be_a_stop_string() -> None:
    assert stream([b"one <", b"end", b"less> two"], ["<end>"]) == (["one ", "", "<endless> two", ""], False)


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        (["ab"], ["b", "ab"], ["", ""]),
        (["stop here"], ["here", "stop"], ["", ""]),
        (["one STOP two"], ["STOP"], ["one ", ""]),
        (["a", "b", "c"], ["abc", "b"], ["", "", "", ""]),
        (["a", "b", "d"], ["abc", "b"], ["", "", "a", ""]),
        (["text"], ["", "x"], ["te", ""]),
    ],
)
def test_the_stop_string_that_begins_first_wins(pieces: list[str], stops: list[str], expected: list[str]) -> None:
    assert stream([piece.encode() for piece in pieces], stops) == (expected, True)


def test_after_a_stop_string_nothing_more_leaves() -> None:
    text = TextStream(["."])
    assert [text.push(b"one. two"), text.push(b"three"), text.flush()] == ["one", "", ""]
