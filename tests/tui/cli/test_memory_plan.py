"""What `show` says of a model's memory, and `run` before a load or a download."""

from __future__ import annotations

import json

import pytest

from ollama_engine.errors import NotSupported
from ollama_engine.types import Device, DevicePlan, MemoryPlan
from ollama_tui.cli.memory_plan import memory_rows, tell_fit, tell_fit_before_pull
from tests.support.command_line import CommandLine
from tests.support.demo_engine import DemoEngine
from tests.support.scripted_engine import ScriptedEngine

GB = 1_000_000_000
PARTIAL = MemoryPlan(
    model="bard",
    fit="partial",
    context_length=8192,
    slots=2,
    layers=33,
    gpu_layers=20,
    cpu_moe=4,
    size=5 * GB,
    weights=4 * GB,
    kv_cache=GB // 2,
    compute=GB // 4,
    other=GB // 4,
    kv_cache_type_k="q8_0",
    kv_cache_type_v="f16",
    devices=[
        DevicePlan(name="CUDA0", layers=20, weights=3 * GB, kv_cache=GB // 2, free=4 * GB),
        DevicePlan(name="CUDA1", free=GB),
        DevicePlan(name="CPU", layers=13, weights=GB, compute=GB // 4, other=GB // 4, free=16 * GB),
    ],
    reason="20 of 33 layers on the GPU: 1.4 GiB lie in RAM",
    hint="With num_ctx 4096 it fits the GPU.",
)


def machine(gpu: int, host: int) -> DemoEngine:
    engine = DemoEngine()
    engine.machine = [Device("CPU", "A processor", "cpu", host * GB, host * GB)]
    if gpu:
        engine.machine.insert(0, Device("CUDA0", "A card", "gpu", gpu * GB, gpu * GB))
    return engine


def test_a_section_says_what_lies_where() -> None:
    assert memory_rows(PARTIAL) == [
        ("fits", "GPU and CPU"),
        ("size", "5 GB by estimate"),
        ("weights", "4 GB"),
        ("KV cache", "500 MB (q8_0/f16)"),
        ("compute", "250 MB"),
        ("runner", "250 MB"),
        ("context", "8192, 2 at once"),
        ("CUDA0", "20 layers, 3.5 GB of 4 GB free"),
        ("CPU", "13 layers, 1.5 GB of 16 GB free"),
        ("experts in RAM", "of 4 layers"),
        ("reason", PARTIAL.reason),
        ("hint", PARTIAL.hint),
    ]


def test_show_has_it_of_a_real_model(models: CommandLine) -> None:
    text = models.run("show", "scripted").stdout
    section = text.partition("  Memory\n")[2].partition("\n\n")[0]
    rows = dict(line.split(maxsplit=1) for line in section.splitlines())
    assert rows["fits"] in ("CPU", "GPU")
    assert rows["size"].endswith(("by estimate", "as measured"))
    assert rows["context"] == "2048, 4 at once"
    told = json.loads(models.run("show", "scripted", "--json").stdout)
    assert told["memory"]["context_length"] == 2048
    assert "Memory" not in models.run("show", "scripted", "--parameters").stdout


async def test_run_tells_what_fits_only_partly(capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine()
    engine.plan_answer = PARTIAL
    await tell_fit(engine, "bard")
    said = "20 of 33 layers on the GPU: 1.4 GiB lie in RAM. With num_ctx 4096 it fits the GPU."
    assert capsys.readouterr() == ("", f"Note: bard fits partly on the GPU: {said}\n")


async def test_run_is_silent_where_it_fits_unless_a_conversation_begins(capsys: pytest.CaptureFixture[str]) -> None:
    engine = ScriptedEngine()
    engine.plan_answer = MemoryPlan(model="bard", fit="gpu", context_length=4096, slots=4, size=2 * GB)
    await tell_fit(engine, "bard")
    assert capsys.readouterr().err == ""
    await tell_fit(engine, "bard", always=True)
    assert capsys.readouterr().err == "Note: bard fits the GPU: 2 GB with 4096 tokens of context.\n"
    engine.plan_answer.loaded = True
    await tell_fit(engine, "bard", always=True)
    assert capsys.readouterr().err == ""


async def test_a_server_that_does_not_plan_and_a_model_that_is_not_here_are_nothing_to_tell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = DemoEngine()
    engine.failures["plan"] = NotSupported("plans no memory")
    await tell_fit(engine, "bard", always=True)
    await tell_fit(ScriptedEngine(), "nobody", always=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("gpu", "host", "says"),
    [(24, 64, "fits the GPU"), (4, 64, "fits partly on the GPU"), (0, 64, "fits in RAM"), (0, 4, "does not fit")],
)
async def test_before_a_download_the_catalog_says_whether_it_will_fit(
    gpu: int, host: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await tell_fit_before_pull(machine(gpu, host), "llama3.1:8b")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"Note: llama3.1:8b {says}: about ")
    assert err.endswith(" GB with 8192 tokens of context.\n")


async def test_nothing_is_said_of_an_unknown_model_or_machine(capsys: pytest.CaptureFixture[str]) -> None:
    await tell_fit_before_pull(machine(24, 64), "somebody/else:7b")
    silent = machine(24, 64)
    silent.failures["devices"] = NotSupported("does not tell its devices")
    await tell_fit_before_pull(silent, "llama3.1:8b")
    assert capsys.readouterr() == ("", "")
