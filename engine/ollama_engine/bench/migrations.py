"""The tables of the history, and the steps from each version of them to the next."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ollama_engine.errors import StoreError

STEPS = (
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        started_at TEXT NOT NULL,
        ended_at TEXT NOT NULL,
        state TEXT NOT NULL,
        note TEXT NOT NULL,
        plan TEXT NOT NULL,
        surroundings TEXT NOT NULL,
        digests TEXT NOT NULL,
        warnings TEXT NOT NULL,
        loads TEXT NOT NULL
    );
    CREATE TABLE cells (
        id INTEGER PRIMARY KEY,
        run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
        place INTEGER NOT NULL,
        model TEXT NOT NULL DEFAULT '',
        options TEXT NOT NULL DEFAULT '{}',
        prompt INTEGER NOT NULL DEFAULT 0,
        generate INTEGER NOT NULL DEFAULT 0,
        concurrency INTEGER NOT NULL DEFAULT 1,
        warm INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'waiting',
        failure TEXT NOT NULL DEFAULT '',
        notes TEXT NOT NULL DEFAULT '[]',
        memory TEXT NOT NULL DEFAULT 'null',
        UNIQUE (run_id, place)
    );
    CREATE TABLE samples (
        id INTEGER PRIMARY KEY,
        cell_id INTEGER NOT NULL REFERENCES cells(id) ON DELETE CASCADE,
        round INTEGER NOT NULL,
        stream INTEGER NOT NULL,
        prompt_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL,
        prompt_ns INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        generation_ns INTEGER NOT NULL,
        start_ns INTEGER NOT NULL,
        first_token_ns INTEGER NOT NULL,
        total_ns INTEGER NOT NULL,
        done_reason TEXT NOT NULL
    );
    CREATE INDEX samples_of ON samples(cell_id, id);
    """,
)
"""Step n brings a file of version n to n + 1. What has been released is never changed: a change is another step."""


def migrate(database: sqlite3.Connection, path: Path, steps: tuple[str, ...] = STEPS) -> None:
    """Bring a file to the newest version, all of it or nothing.

    Raises:
        StoreError: a newer program wrote it.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if version > len(steps):
            raise StoreError(f"{path} was written by a newer ollama-tui", hint="Update, or move the file away.")
        for step in steps[version:]:
            for statement in step.split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(steps)}")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")
