"""`bench`: what it prints and keeps, and what its exit status tells a script."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import sqlite3
from pathlib import Path

import pytest

from ollama_engine.bench import History
from tests.support.bench_runs import result, run
from tests.support.command_line import CommandLine

QUICK = ("--prompt", "16", "--generate", "4", "--repeat", "3")


@pytest.fixture
def bench(ollama: CommandLine) -> CommandLine:
    """With a history of three runs, the newest of them the slowest."""
    ollama = ollama.with_env(XDG_DATA_HOME=str(ollama.home / "data"))
    with History(ollama.home / "data/ollama-tui/bench.db") as history:
        for speeds in ([100, 101, 102], [104, 99, 101], [70, 71, 72]):
            history.save(run(result(speeds), result(speeds, options={"num_ctx": 512}, concurrency=2)))
    return ollama


def test_a_run_is_printed_kept_and_written_to_files(ollama: CommandLine) -> None:
    ollama = ollama.with_env(XDG_DATA_HOME=str(ollama.home / "data"))
    done = ollama.run(
        "bench", "bard", *QUICK, "-c", "1,2", "--note", "first", "--output", "x.svg", "--output", "x.json"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Run 1, first, ")
    table = [re.split(r" {4,}", line) for line in lines if line.startswith(("MODEL", "bard"))][:3]
    assert table[0][:5] == ["MODEL", "PROMPT", "GEN", "AT ONCE", "PROMPT"]
    assert [row[:4] for row in table[1:]] == [["bard:latest", "16", "4", "1"], ["bard:latest", "16", "4", "2"]]
    assert all(re.match(r"\d+(\.\d+)?( ±\d+(\.\d+)?)?$", cell) for row in table[1:] for cell in row[4:7])
    assert "1/2 bard:latest, 16 + 4 tokens: done" in done.stderr
    assert (ollama.home / "x.svg").read_text().startswith("<svg ")
    kept = json.loads((ollama.home / "x.json").read_text())
    assert [len(cell["samples"]) for cell in kept["cells"]] == [3, 6]
    assert {sample["prompt_tokens"] for cell in kept["cells"] for sample in cell["samples"]} == {16}
    again = ollama.run("bench", "bard", *QUICK, "--json", "--no-history", "--compare", "x.json")
    assert again.returncode == 0, again.stderr
    value = json.loads(again.stdout)
    assert (value["id"], value["state"]) == (0, "done")
    assert {one["metric"] for one in value["comparison"]["differences"]} >= {"generation", "memory"}
    [listed] = json.loads(ollama.call("bench", "--history", "--json").stdout)
    assert (listed["id"], listed["note"], listed["measured"]) == (1, "first", 2)


def test_what_fails_makes_the_exit_status_1_and_the_rest_is_printed(ollama: CommandLine) -> None:
    done = ollama.run("bench", "nobody", "bard", *QUICK, "--no-history", "--format", "csv")
    assert done.returncode == 1
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["state"] for row in rows] == ["failed", "done", "done", "done"]
    assert "nobody, 16 + 4 tokens: failed: model 'nobody' not found" in done.stderr
    assert not list(ollama.home.rglob("bench.db"))


def test_the_history_is_listed_shown_and_shortened(bench: CommandLine) -> None:
    listed = bench.call("bench", "--history").stdout.splitlines()
    assert listed[0].split() == ["RUN", "WHEN", "MODELS", "MEASURED", "STATE", "ENGINE", "NOTE"]
    assert [line.split()[0] for line in listed[1:]] == ["3", "2", "1"]
    shown = bench.call("bench", "--show", "2").stdout
    assert "Run 2" in shown
    assert "bard:latest    num_ctx=512    128" in shown
    assert bench.call("bench", "--delete", "2").returncode == 0
    gone = bench.call("bench", "--show", "2")
    assert (gone.returncode, gone.stderr.splitlines()[0]) == (1, "Error: there is no run 2")
    assert bench.call("bench", "--show", "last", "--format", "markdown").stdout.startswith("# Benchmark, run 3\n")


def test_a_regression_beyond_the_limit_is_exit_status_2(bench: CommandLine) -> None:
    compared = ("bench", "--compare", "1", "--fail-on-regression")
    same = bench.call(*compared, "5", "--show", "2")
    assert same.returncode == 0
    assert re.search(r"generation +101 ±0.50 +101 ±1.25 +\+0.0 % +no difference", same.stdout)
    worse = bench.call(*compared, "5", "--show", "3")
    assert worse.returncode == 2
    assert re.search(r"generation +101 ±0.50 +71.0 ±0.50 +-29.7 % +WORSE", worse.stdout)
    assert "of the figures became worse by more than 5 %" in worse.stderr
    assert bench.call(*compared, "60", "--show", "3").returncode == 0
    markdown = bench.call("bench", "--compare", "1", "--show", "3", "--format", "markdown").stdout
    assert "## Compared with run 1" in markdown
    assert "| generation | 101 ±0.50 | 71.0 ±0.50 | -29.7 % | WORSE |" in markdown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name models to measure"),
        (("bard", "--history"), "Name models to measure"),
        (("bard", "--fail-on-regression", "5"), "needs --compare"),
        (("bard", "--prompt", "many"), "'many' is no whole number"),
        (("bard", "--repeat", "0"), "repeats cannot be 0"),
        (("bard", "--option", "num_ctxx=1"), "Did you mean num_ctx?"),
        (("bard", "--output", "x.gif"), ".json, .csv, .md, .svg or .png"),
        (("bard", "--compare", "nothing"), "'nothing' is no run"),
        (("bard", "--compare", "last"), "there is no earlier run"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_measured(
    ollama: CommandLine, arguments: tuple[str, ...], words: str
) -> None:
    done = ollama.call("bench", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr


def test_an_interrupted_run_is_kept_as_far_as_it_came(models: CommandLine) -> None:
    data = models.home / "data"
    bench = models.with_env(XDG_DATA_HOME=str(data))
    with bench.start("bench", "scripted", *QUICK, "-g", "2", "-c", "1,2", "--repeat", "400") as process:
        assert process.stderr is not None
        first = process.stderr.readline().decode()
        while "1/2" not in first:
            first = process.stderr.readline().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "is run 1 of the history" in process.stderr.read().decode()
    [(state, cells)] = rows(data / "ollama-tui/bench.db")
    assert (state, cells) == ("stopped", 2)


def rows(path: Path) -> list[tuple[str, int]]:
    with sqlite3.connect(path) as database:
        return database.execute("SELECT state, (SELECT count(*) FROM cells) FROM runs").fetchall()
