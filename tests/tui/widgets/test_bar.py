"""Bars and sparklines: as wide as asked, and what is little is still seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_tui.widgets.bar import FILLED, REST, bar, divided
from ollama_tui.widgets.sparkline import sparkline


@pytest.mark.parametrize(
    ("part", "drawn"),
    [(0.0, "──────────"), (0.001, "━─────────"), (0.5, "━━━━━─────"), (1.0, "━━━━━━━━━━"), (1.7, "━━━━━━━━━━")],
)
def test_a_bar_shows_how_much_of_the_whole(part: float, drawn: str) -> None:
    assert "".join(bar(part, 10)) == drawn


@given(st.floats(-1, 2), st.integers(0, 60))
def test_a_bar_is_as_wide_as_asked(part: float, width: int) -> None:
    filled, rest = bar(part, width)
    assert len(filled + rest) == width
    assert set(filled) <= {FILLED}
    assert set(rest) <= {REST}


@given(st.lists(st.floats(0, 1), max_size=5), st.integers(1, 60))
def test_parts_side_by_side_never_take_more_than_the_whole(parts: list[float], width: int) -> None:
    cells = divided(parts, width)
    assert len(cells) == len(parts)
    assert sum(cells) <= width
    assert all(n >= 0 for n in cells)
    assert all(n == 0 for n, part in zip(cells, parts, strict=True) if part == 0)


def test_a_small_part_beside_large_ones_is_seen() -> None:
    assert divided([0.75, 0.2, 0.001], 20) == [15, 4, 1]


@pytest.mark.parametrize(
    ("samples", "drawn"),
    [
        ([], "      "),
        ([0.0, 0.0], "    ▁▁"),
        ([1, 2, 4, 8], "  ▂▃▅█"),
        ([8.0, None, 4.0], "   █ ▅"),
        ([9, 9, 9, 0, 1, 2, 3, 4, 5], "▁▂▄▅▇█"),
    ],
)
def test_a_sparkline_has_the_newest_at_the_right(samples: list[float | None], drawn: str) -> None:
    assert sparkline(samples, 6) == drawn


def test_a_sparkline_of_a_percentage_is_of_a_hundred() -> None:
    assert sparkline([12.0, 50.0, 100.0], 3, top=100.0) == "▁▅█"
