"""What was measured is there again, whole; files of other versions are not damaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from msgspec import structs

from ollama_engine.bench import History
from ollama_engine.bench.migrations import STEPS, migrate
from ollama_engine.errors import NotFound, StoreError
from tests.support.bench_runs import result, run


def test_a_run_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    whole = run(
        result([99, 101, 100], concurrency=2, notes=("slow",)),
        result([], prompt=512, state="failed", failure="too [long]\n\x1b"),
        result([50, 60], "b:1b", options={"num_ctx": 512, "stop": ["a"]}, memory=None),
        note="before",
        warnings=("busy",),
    )
    with History(tmp_path / "deep" / "bench.db") as history:
        saved = history.save(whole)
        assert saved == structs.replace(whole, id=1)
    with History(tmp_path / "deep" / "bench.db") as history:
        assert history.load(1) == saved
        [line] = history.runs()
        assert (line.id, line.cells, line.measured, line.failed, line.note) == (1, 3, 2, 1, "before")
        assert line.models == ("bard:latest", "b:1b")


def test_a_run_is_kept_while_it_is_measured(tmp_path: Path) -> None:
    """Every save writes what is new of it: a program that is killed leaves the rest."""
    first = result([100], state="running")
    with History(tmp_path / "bench.db") as history, History(tmp_path / "bench.db") as other:
        now = history.save(run(first, result([], prompt=512, state="waiting"), state="running", ended_at=""))
        assert other.load(now.id) == now
        more = structs.replace(first, samples=(*first.samples, *result([110, 120]).samples), state="done")
        now = history.save(structs.replace(now, cells=(more, now.cells[1])))
        assert other.load(now.id) == now
        assert [one.state for one in other.runs()] == ["running"]
        with pytest.raises(NotFound):
            other.last()
        history.save(structs.replace(now, state="done", note="named"))
        assert other.last() == now.id
        assert other.load(now.id).note == "named"


def test_runs_are_listed_found_named_and_deleted(tmp_path: Path) -> None:
    with History(tmp_path / "bench.db") as history:
        with pytest.raises(NotFound, match="no earlier run"):
            history.last()
        ids = [history.save(run(result([speed]))).id for speed in (1, 2, 3)]
        assert [one.id for one in history.runs()] == ids[::-1]
        assert (history.last(), history.last(before=ids[2])) == (ids[2], ids[1])
        history.annotate(ids[0], "first")
        assert history.runs()[-1].note == "first"
        history.delete(ids[1])
        assert [one.id for one in history.runs()] == [ids[2], ids[0]]
        for act in (history.load, history.delete, lambda number: history.annotate(number, "")):
            with pytest.raises(NotFound, match=f"no run {ids[1]}"):
                act(ids[1])


def test_a_file_of_an_older_version_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "bench.db"
    with History(path) as history:
        saved = history.save(run(result([1, 2, 3])))
    newer = (*STEPS, "ALTER TABLE runs ADD COLUMN mood TEXT NOT NULL DEFAULT 'fine'")
    database = sqlite3.connect(path, isolation_level=None)
    migrate(database, path, newer)
    migrate(database, path, newer)
    assert database.execute("SELECT id, mood FROM runs").fetchall() == [(saved.id, "fine")]
    database.close()
    with pytest.raises(StoreError, match="newer ollama-tui"), History(path) as history:
        history.runs()


def test_a_step_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "bench.db"
    with History(path) as history:
        saved = history.save(run(result([1, 2, 3])))
    database = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.Error):
        migrate(database, path, (*STEPS, "ALTER TABLE runs ADD COLUMN mood TEXT; ALTER TABLE nothing ADD COLUMN x"))
    database.close()
    with History(path) as history:
        assert history.load(saved.id) == saved


def test_a_file_that_is_no_database_is_an_error_to_read(tmp_path: Path) -> None:
    path = tmp_path / "bench.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(StoreError, match=r"bench\.db"), History(path) as history:
        history.runs()
