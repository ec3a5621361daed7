"""`History`: every run and every sample in one SQLite file, written while it is measured.

The methods block: callers with an event loop run them in a thread, one at a time. Each raises StoreError where the file
cannot be read or written.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import msgspec
from msgspec import Struct, structs

from ollama_engine.bench.migrations import migrate
from ollama_engine.bench.records import Cell, CellResult, Load, Memory, Plan, Run, Sample, Surroundings
from ollama_engine.errors import EngineError, NotFound, StoreError

T = TypeVar("T")
_SAMPLE = ", ".join(Sample.__struct_fields__)
_encode = msgspec.json.Encoder().encode


class RunSummary(Struct, frozen=True, kw_only=True):
    """A line of the history."""

    id: int
    started_at: str
    state: str
    models: tuple[str, ...]
    cells: int
    measured: int
    failed: int
    engine: str
    version: str
    note: str = ""


class History:
    """Opens its file on first use; use it as a context manager, or close it. Its calls come one after the other, from
    whatever thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                database.close()

    def save(self, run: Run) -> Run:
        """Write all of `run`, under its number or a new one; the run with its number."""
        return self._do(lambda database: _save(database, run))

    def load(self, number: int) -> Run:
        """A run whole. NotFound."""
        return self._do(lambda database: _load(database, number))

    def last(self, before: int | None = None) -> int:
        """The newest run that came to its end, before another one. NotFound: there is none."""
        return self._do(lambda database: _last(database, before))

    def runs(self, limit: int = 200) -> list[RunSummary]:
        """The newest first."""
        return self._do(lambda database: _runs(database, limit))

    def delete(self, number: int) -> None:
        """NotFound."""
        self._do(lambda database: _delete(database, number))

    def annotate(self, number: int, note: str) -> None:
        """Give a run a name. NotFound."""
        self._do(lambda database: _annotate(database, number, note))

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                if self._database is None:
                    self._database = _open(self.path)
                with _transaction(self._database):
                    return work(self._database)
            except (sqlite3.Error, OSError) as error:
                raise StoreError(
                    f"cannot keep measurements in {self.path}: {error}", hint="Make room, or move the file away."
                ) from error
            except msgspec.MsgspecError as error:
                raise StoreError(
                    f"{self.path} has what is no measurement: {error}", hint="Move the file away."
                ) from error


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA foreign_keys = ON")
        migrate(database, path)
    except (sqlite3.Error, EngineError):
        database.close()
        raise
    return database


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _save(database: sqlite3.Connection, run: Run) -> Run:
    values = (
        run.started_at,
        run.ended_at,
        run.state,
        run.note,
        *(_encode(part).decode() for part in (run.plan, run.surroundings, run.digests, run.warnings, run.loads)),
    )
    columns = "started_at, ended_at, state, note, plan, surroundings, digests, warnings, loads"
    if not run.id:
        number = database.execute(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values).lastrowid
        run = structs.replace(run, id=number or 0)
    else:
        sql = f"UPDATE runs SET ({columns}) = (?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?"
        if not database.execute(sql, (*values, run.id)).rowcount:
            raise _none(run.id)
    known = {
        place: (cell, count, state)
        for place, cell, count, state in database.execute(
            "SELECT place, id, (SELECT count(*) FROM samples WHERE cell_id = cells.id), state"
            " FROM cells WHERE run_id = ?",
            (run.id,),
        )
    }
    for place, result in enumerate(run.cells):
        cell, count, state = known.get(place, (None, 0, ""))
        if cell is None:
            cell = database.execute("INSERT INTO cells (run_id, place) VALUES (?, ?)", (run.id, place)).lastrowid
        elif state == result.state and count == len(result.samples):
            continue
        _save_cell(database, cell, result)
        _save_samples(database, cell, result.samples[count:])
    return run


def _save_cell(database: sqlite3.Connection, cell: int | None, result: CellResult) -> None:
    place = result.cell
    values = (
        *(place.model, _encode(place.options).decode(), place.prompt, place.generate, place.concurrency),
        *(place.warm, result.state, result.failure, _encode(result.notes).decode()),
        _encode(result.memory).decode(),
    )
    columns = "model, options, prompt, generate, concurrency, warm, state, failure, notes, memory"
    database.execute(f"UPDATE cells SET ({columns}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?", (*values, cell))


def _save_samples(database: sqlite3.Connection, cell: int | None, samples: tuple[Sample, ...]) -> None:
    marks = ", ".join("?" * (1 + len(Sample.__struct_fields__)))
    database.executemany(
        f"INSERT INTO samples (cell_id, {_SAMPLE}) VALUES ({marks})",
        [(cell, *structs.astuple(sample)) for sample in samples],
    )


def _load(database: sqlite3.Connection, number: int) -> Run:
    row = database.execute(
        "SELECT started_at, ended_at, state, note, plan, surroundings, digests, warnings, loads FROM runs WHERE id = ?",
        (number,),
    ).fetchone()
    if row is None:
        raise _none(number)
    decode = msgspec.json.decode
    return Run(
        id=number,
        started_at=row[0],
        ended_at=row[1],
        state=row[2],
        note=row[3],
        plan=decode(row[4], type=Plan),
        surroundings=decode(row[5], type=Surroundings),
        digests=decode(row[6], type=dict[str, str]),
        warnings=decode(row[7], type=tuple[str, ...]),
        loads=decode(row[8], type=tuple[Load, ...]),
        cells=tuple(_load_cells(database, number)),
    )


def _load_cells(database: sqlite3.Connection, number: int) -> Iterator[CellResult]:
    decode = msgspec.json.decode
    rows = database.execute(
        "SELECT id, model, options, prompt, generate, concurrency, warm, state, failure, notes, memory"
        " FROM cells WHERE run_id = ? ORDER BY place",
        (number,),
    ).fetchall()
    for id, model, options, prompt, generate, concurrency, warm, state, failure, notes, memory in rows:
        samples = database.execute(f"SELECT {_SAMPLE} FROM samples WHERE cell_id = ? ORDER BY id", (id,))
        yield CellResult(
            cell=Cell(
                model=model,
                options=decode(options),
                prompt=prompt,
                generate=generate,
                concurrency=concurrency,
                warm=bool(warm),
            ),
            state=state,
            samples=tuple(Sample(**dict(zip(Sample.__struct_fields__, row, strict=True))) for row in samples),
            memory=decode(memory, type=Memory | None),
            failure=failure,
            notes=decode(notes, type=tuple[str, ...]),
        )


def _last(database: sqlite3.Connection, before: int | None) -> int:
    row = database.execute(
        "SELECT max(id) FROM runs WHERE state = 'done' AND id < ?", (2**62 if before is None else before,)
    ).fetchone()
    if row[0] is None:
        raise NotFound("there is no earlier run", hint="Measure something first: ollama-tui bench MODEL")
    return row[0]


def _runs(database: sqlite3.Connection, limit: int) -> list[RunSummary]:
    counts = "(SELECT count(*) FROM cells WHERE run_id = runs.id{})"
    rows = database.execute(
        f"SELECT id, started_at, state, note, plan, surroundings, {counts.format('')},"
        f" {counts.format(' AND state = ' + repr('done'))}, {counts.format(' AND state = ' + repr('failed'))}"
        " FROM runs ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    found: list[RunSummary] = []
    for id, started_at, state, note, plan, surroundings, cells, measured, failed in rows:
        where = msgspec.json.decode(surroundings, type=Surroundings)
        found.append(
            RunSummary(
                id=id,
                started_at=started_at,
                state=state,
                models=msgspec.json.decode(plan, type=Plan).models,
                cells=cells,
                measured=measured,
                failed=failed,
                engine=where.engine,
                version=where.version,
                note=note,
            )
        )
    return found


def _delete(database: sqlite3.Connection, number: int) -> None:
    if not database.execute("DELETE FROM runs WHERE id = ?", (number,)).rowcount:
        raise _none(number)


def _annotate(database: sqlite3.Connection, number: int, note: str) -> None:
    if not database.execute("UPDATE runs SET note = ? WHERE id = ?", (note, number)).rowcount:
        raise _none(number)


def _none(number: int) -> NotFound:
    return NotFound(f"there is no run {number}", hint="'ollama-tui bench --history' lists them.")
