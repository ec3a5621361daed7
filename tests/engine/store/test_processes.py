"""Real processes at work on one store at once, and killed at it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ollama_engine.store import Store, open_model
from tests.engine.store.conftest import blob_names

PRELUDE = """
import sys
from pathlib import Path
from ollama_engine.store import Config, Manifest, Store, open_model
from ollama_engine.store import manifest as media

store = Store(Path(sys.argv[1]))

def create(name, *texts):
    with store.creating() as creation:
        layers = [store.add_layer(media.SYSTEM, text.encode()) for text in texts]
        config = store.add_layer(media.CONFIG_TYPE, media.encode_config(Config(model_family="llama")))
        store.put_manifest(name, Manifest(config=config, layers=layers), creation)
"""

SAME_MODEL = """
for turn in range(40):
    create("shared", "the same text", f"turn {turn}")
    store.list()
"""

CREATE_AND_DELETE = """
me = sys.argv[2]
for turn in range(40):
    create(f"model-{me}", "a text that all share", f"turn {turn}")
    assert open_model(store, f"model-{me}").system == f"turn {turn}"
    store.list()
    store.delete(f"model-{me}")
"""

PRUNE = """
for turn in range(60):
    store.prune(older_than=0)
    store.list()
"""

FOREVER = """
print("ready", flush=True)
turn = 0
while True:
    turn += 1
    create(f"model-{turn % 5}", "a text that all share", "x" * 100_000 + str(turn % 7))
    if turn % 3 == 0:
        store.delete(f"model-{turn % 5}")
    print(turn, flush=True)
"""

HALF_A_BLOB = """
with store.blobs.writer() as writer:
    writer.write(b"half of a blob")
    print("ready", flush=True)
    sys.stdin.read()
"""


def start(root: Path, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + script, str(root), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()


def assert_sound(store: Store, *, leftover: int = 0) -> None:
    """Every model opens, every blob is what its name says, and no file is half of anything."""
    assert store.unreadable() == []
    for entry in store.list():
        open_model(store, entry.name)
        for layer in entry.manifest.blobs():
            store.blobs.verify(layer.digest)
    assert sum(name.startswith(".writing-") for name in blob_names(store)) <= leftover


def test_two_processes_that_create_the_same_model_both_succeed(store: Store) -> None:
    finish(*[start(store.root, SAME_MODEL) for _ in range(2)])
    assert_sound(store)
    assert open_model(store, "shared").system == "turn 39"
    store.delete("shared")
    store.prune(older_than=0)
    assert blob_names(store) == set()


def test_creating_deleting_listing_and_pruning_at_once_lose_nothing(store: Store) -> None:
    finish(*[start(store.root, CREATE_AND_DELETE, me) for me in "ab"], start(store.root, PRUNE))
    assert store.list() == []
    store.prune(older_than=0)
    assert blob_names(store) == set()


@pytest.mark.parametrize("seed", range(3))
def test_a_writer_killed_at_any_moment_leaves_a_store_that_lists_and_prunes(store: Store, seed: int) -> None:
    process = start(store.root, FOREVER)
    assert process.stdout is not None
    for _ in range(random.Random(seed).randint(2, 25)):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert_sound(store, leftover=1)
    store.prune(older_than=0)
    assert_sound(store)
    finish(start(store.root, SAME_MODEL))
    assert open_model(store, "shared").system == "turn 39"


def test_half_a_blob_stays_while_its_writer_lives_and_goes_when_it_was_killed(store: Store) -> None:
    process = start(store.root, HALF_A_BLOB)
    assert process.stdout is not None
    process.stdout.readline()
    assert store.prune(older_than=0).removed == []
    (half,) = os.listdir(store.blobs.folder)
    process.kill()
    process.communicate(timeout=30)
    assert store.list() == []
    assert store.prune(older_than=0).removed == [half]
    assert blob_names(store) == set()
