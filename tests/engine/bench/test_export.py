"""A run as files."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ollama_engine.bench.export import export, format_of, json_file, write_file
from ollama_engine.bench.export.chart import nice_ticks
from ollama_engine.bench.figures import summary_text, value_text
from ollama_engine.bench.statistics import Summary
from ollama_engine.errors import InvalidRequest, StoreError
from tests.support.bench_runs import result, run

RUN = run(
    result([99, 100, 104], concurrency=2),
    result([60, 61, 62], concurrency=4),
    result([], "<b>|x:1b", prompt=9999, state="failed", failure="no | <room>\nat all"),
)


def test_json_is_read_again_as_it_was(tmp_path: Path) -> None:
    write_file(RUN, tmp_path / "run.json")
    assert json_file.read(tmp_path / "run.json") == RUN


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "ollama-tui bench 99"}', "\xff"])
def test_a_file_that_is_no_run_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(InvalidRequest, match=r"x\.json"):
        json_file.read(tmp_path / "x.json")


def test_csv_has_a_line_for_each_sample_and_one_for_a_cell_that_failed() -> None:
    rows = list(csv.DictReader(io.StringIO(export(RUN, "csv").decode())))
    assert len(rows) == 6 + 12 + 1
    assert rows[0]["generation_rate"] == "99.000"
    assert (rows[0]["prompt_tokens"], rows[0]["memory_context"], rows[0]["digest"]) == ("128", "4096", "ab" * 32)
    assert (rows[-1]["state"], rows[-1]["tokens"], rows[-1]["failure"]) == ("failed", "", "no | <room>\nat all")


def test_markdown_has_tables_that_names_cannot_break() -> None:
    text = export(RUN, "markdown").decode()
    lines = [line for line in text.splitlines() if line.startswith("| bard")]
    assert "| bard:latest |  | 128 | 65 | 2 | 1000 ±12.5 | 100 ±1.25 | 200 ±2.50 |" in lines[0]
    assert "| &lt;b>\\|x:1b |  | 9999 | 65 | 1 | failed |" in text
    assert "no \\| &lt;room> at all" in text


@pytest.mark.parametrize("cells", [RUN.cells, (result([99, 100, 104]),), ()])
def test_charts_are_well_formed_and_hold_every_mark(cells: tuple[object, ...]) -> None:
    drawn = run(*cells)  # type: ignore[arg-type]
    root = ElementTree.fromstring(export(drawn, "svg").decode())
    width, height = int(root.attrib["width"]), int(root.attrib["height"])
    for mark in root:
        for name in ("x", "x1", "x2", "y", "y1", "y2"):
            assert 0 <= float(mark.get(name, "0")) <= (width if "x" in name else height)
    image = Image.open(io.BytesIO(export(drawn, "png")))
    assert image.size == (2 * width, 2 * height)
    assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 2


@given(st.floats(1e-6, 1e12))
def test_ticks_are_few_and_reach_over_what_is_drawn(most: float) -> None:
    ticks = nice_ticks(most)
    assert ticks[0] == 0
    assert most * 0.999999 <= ticks[-1] <= most * 2
    assert 3 <= len(ticks) <= 7


def test_figures_are_short_and_say_their_unit() -> None:
    assert [value_text(value, "tok/s") for value in (1204.4, 84.23, 9.871)] == ["1204", "84.2", "9.87"]
    assert [value_text(value, "s") for value in (0.0042, 0.42, 4.2)] == ["4.20 ms", "420 ms", "4.20 s"]
    assert [value_text(value, "bytes") for value in (12, 4_100_000, 4.92e9)] == ["12 B", "4.10 MB", "4.92 GB"]
    assert summary_text(Summary(0.42, 0.40, 0.44, 5), "s") == "420 ms ±20"
    assert summary_text(Summary(84.2, 84.2, 84.2, 1), "tok/s") == "84.2"


def test_the_ending_of_a_file_says_its_format(tmp_path: Path) -> None:
    assert format_of(Path("x.MD")) == "markdown"
    with pytest.raises(InvalidRequest, match=r"x\.txt"):
        format_of(Path("x.txt"))
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot write"):
        write_file(RUN, tmp_path / "file" / "x.csv")
