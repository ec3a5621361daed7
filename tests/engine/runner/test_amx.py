"""On processors with AMX llama.cpp does not use it, unless asked: the code that does crashes in the pinned version."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ollama_engine.runner import amx

ASK_FOR_TILES = """
import ctypes
from ollama_engine.runner import amx
if {forbid}:
    amx.forbid()
ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA = 158, 0x1023, 18
print(ctypes.CDLL(None).syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA))
"""


@pytest.mark.skipif(not amx.is_present(), reason="this processor has no AMX")
@pytest.mark.parametrize(("forbid", "answer"), [(False, "0"), (True, "-1")])
def test_the_kernel_refuses_the_tiles_to_a_process_that_forbids_them(forbid: bool, answer: str) -> None:
    script = ASK_FOR_TILES.format(forbid=forbid)
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == answer


def test_to_forbid_them_harms_nobody_who_has_none() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from ollama_engine.runner import amx; amx.forbid(); print('fine')"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "fine"


WRITTEN_OVER = """
import ctypes, gc, os, signal
from ollama_engine.runner import amx
signal.signal(signal.SIGUSR1, lambda *_: None)
amx.forbid()
gc.collect()
others = [ctypes.create_string_buffer(b"x" * amx.ROOM, amx.ROOM) for _ in range(1000)]
os.kill(os.getpid(), signal.SIGUSR1)
print(all(other.raw == b"x" * amx.ROOM for other in others))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGUSR1")
def test_a_signal_that_comes_later_writes_over_nothing() -> None:
    """The stack that the kernel was given outlives whoever gave it."""
    said = subprocess.run([sys.executable, "-c", WRITTEN_OVER], capture_output=True, text=True)
    assert (said.returncode, said.stdout.strip()) == (0, "True"), said.stderr
