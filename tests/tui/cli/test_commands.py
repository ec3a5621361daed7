"""Each command as a shell sees it: stdout is data, stderr narration, the exit status the verdict."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from ollama_engine import __version__
from tests.support.command_line import COMMAND, CommandLine
from tests.support.gguf_models import random_model


def failure(result: subprocess.CompletedProcess[str]) -> str:
    """The message of a command that failed as commands fail: one `Error:` line, perhaps a hint, exit 1."""
    assert result.returncode == 1, result
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Error: ")
    assert len(lines) <= 2
    return result.stderr.removeprefix("Error: ")


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version_is_one_line(flag: str, ollama: CommandLine) -> None:
    result = ollama.run(flag)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"ollama-tui version is {__version__}\n", "")


def test_version_answers_within_150_ms(ollama: CommandLine) -> None:
    def seconds() -> float:
        begin = time.perf_counter()
        subprocess.run([*COMMAND, "--version"], env=ollama.environment, check=True, capture_output=True)
        return time.perf_counter() - begin

    # The best of several: the others tell of what else the machine does.
    assert min(seconds() for _ in range(8)) < 0.150


def test_version_needs_neither_settings_nor_a_server(ollama: CommandLine) -> None:
    assert ollama.with_env(OLLAMA_KEEP_ALIVE="soon").at("gpu-box:1").run("--version").returncode == 0


def test_help_names_every_command_and_works_with_settings_that_do_not(ollama: CommandLine) -> None:
    result = ollama.with_env(OLLAMA_KEEP_ALIVE="soon").run("--help")
    assert result.returncode == 0
    for name in ("serve, start", "create", "show", "run", "stop", "pull", "push", "list, ls", "ps", "cp", "rm", "help"):
        assert f"\n  {name} " in result.stdout
    assert ollama.with_env(OLLAMA_KEEP_ALIVE="soon").run("list", "--help").returncode == 0


def test_help_about_a_command_is_its_own(ollama: CommandLine) -> None:
    assert ollama.run("help", "list").stdout == ollama.run("list", "--help").stdout
    assert ollama.run("help", "config", "set").stdout == ollama.run("config", "set", "--help").stdout
    assert ollama.run("help").stdout == ollama.run("--help").stdout
    assert ollama.run("help", "lsit").returncode == 1


def test_a_command_that_is_none_is_answered_with_the_nearest(ollama: CommandLine) -> None:
    result = ollama.run("lsit")
    assert result.returncode == 1
    assert "No such command 'lsit'. Did you mean 'list'?" in result.stderr


def test_list_shows_the_bundled_model_in_ollamas_columns(ollama: CommandLine) -> None:
    header, row = ollama.run("list").stdout.splitlines()
    assert header == "NAME           ID              SIZE      MODIFIED"
    assert re.fullmatch(r"bard:latest    [0-9a-f]{12}    \d\.\d MB    (Less than a|\d+) seconds? ago", row)


def test_list_filters_by_a_prefix_in_any_case(ollama: CommandLine) -> None:
    assert len(ollama.run("list", "BA").stdout.splitlines()) == 2
    assert ollama.run("ls", "llama").stdout == "NAME    ID    SIZE    MODIFIED\n"


def test_cp_gives_a_second_name_and_rm_takes_it_away(ollama: CommandLine) -> None:
    assert ollama.run("cp", "bard", "twin").stdout == "copied 'bard' to 'twin'\n"
    assert "twin:latest" in ollama.run("list").stdout
    assert ollama.run("rm", "twin").stdout == "deleted 'twin'\n"
    assert "twin" not in ollama.run("list").stdout


def test_rm_deletes_what_it_can_up_to_the_name_that_is_missing(ollama: CommandLine) -> None:
    result = ollama.run("rm", "bard", "absent", "other")
    assert (result.returncode, result.stdout) == (1, "deleted 'bard'\n")
    assert result.stderr.startswith("Error: model 'absent' not found")
    assert ollama.run("list").stdout.splitlines() == ["NAME    ID    SIZE    MODIFIED"]


def test_show_tells_of_a_model_in_sections(ollama: CommandLine) -> None:
    text = ollama.run("show", "bard").stdout
    assert text.startswith("  Model\n    architecture        llama\n")
    assert "    context length      512\n" in text
    assert "    quantization        Q8_0\n" in text
    assert "  Capabilities\n    completion\n" in text
    assert "    top_k             40\n" in text
    assert "  Metadata" not in text
    assert "  Tensors\n" in ollama.run("show", "bard", "-v").stdout


def test_show_prints_one_part_as_it_is(ollama: CommandLine) -> None:
    (ollama.home / "Modelfile").write_text('FROM bard\nSYSTEM """Be brief.\nBe witty."""\nLICENSE Free\n')
    assert ollama.run("create", "witty").returncode == 0
    assert ollama.run("show", "--system", "witty").stdout == "Be brief.\nBe witty.\n"
    assert "Free\n" in ollama.run("show", "--license", "witty").stdout
    assert "temperature" in ollama.run("show", "--parameters", "witty").stdout
    modelfile = ollama.run("show", "--modelfile", "witty").stdout
    assert modelfile.startswith('# Modelfile generated by "ollama show"\n')
    assert 'SYSTEM "Be brief.\nBe witty."\n' in modelfile


def test_show_prints_one_part_only(ollama: CommandLine) -> None:
    result = ollama.run("show", "--system", "--license", "bard")
    assert result.returncode == 1
    assert "only one of '--license', '--modelfile', '--parameters', '--system', or '--template'" in result.stderr


def test_create_narrates_on_stderr_and_leaves_stdout_alone(ollama: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "Modelfile").write_text("FROM bard\nPARAMETER low_vram true\nPARAMETER temperature 0.1\n")
    result = ollama.run("create", "calm")
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.splitlines()[-2:] == ["writing manifest", "success"]
    assert result.stderr.startswith("warning: parameter low_vram is deprecated\n")
    assert "temperature" in ollama.run("show", "--parameters", "calm").stdout


def test_create_takes_files_relative_to_the_modelfile_and_a_modelfile_from_a_pipe(ollama: CommandLine) -> None:
    folder = ollama.home / "elsewhere"
    folder.mkdir()
    (folder / "base.gguf").write_bytes(b"GGUF and nothing more")
    (folder / "Modelfile").write_text("FROM ./base.gguf\n")
    assert "base.gguf" in failure(ollama.run("create", "x", "-f", "elsewhere/Modelfile"))
    assert ollama.run("create", "x", "-f", "-", stdin=b"FROM bard\n").returncode == 0


@pytest.mark.parametrize(
    ("modelfile", "message"),
    [
        (None, "cannot read the Modelfile Modelfile: No such file or directory"),
        ("SYSTEM hello\n", "no FROM line"),
        ("FROM bard\nPARAMETER colour red\n", "unknown parameter 'colour'"),
        ("FROM bard\nFORM x\n", "(line 2): command must be one of"),
    ],
)
def test_create_says_what_is_wrong_with_a_modelfile(modelfile: str | None, message: str, ollama: CommandLine) -> None:
    if modelfile is not None:
        (ollama.home / "Modelfile").write_text(modelfile)
    assert message in failure(ollama.run("create", "x"))


@pytest.mark.parametrize("arguments", [("show", "absent"), ("cp", "absent", "x"), ("rm", "absent")])
def test_a_model_that_is_missing_is_named(arguments: tuple[str, ...], ollama: CommandLine) -> None:
    assert re.match(r"model ['\"]absent['\"] not found", failure(ollama.run(*arguments)))


def test_without_a_server_nothing_runs_and_nothing_can_be_stopped(ollama: CommandLine) -> None:
    result = ollama.run("ps")
    assert (result.returncode, result.stdout) == (0, "NAME    ID    SIZE    PROCESSOR    CONTEXT    UNTIL\n")
    assert f"no server is running at http://{ollama.host}\n" in failure(ollama.run("stop", "bard"))


@pytest.mark.parametrize("arguments", [("list",), ("ps",), ("stop", "bard"), ("run", "bard", "hi")])
def test_a_server_named_by_host_must_answer(arguments: tuple[str, ...], ollama: CommandLine) -> None:
    """Models of this machine must not pass for those of the server that was asked for."""
    result = ollama.at("").run("--host", ollama.host, *arguments)
    assert failure(result).startswith(f"could not connect to ollama server at http://{ollama.host}\n")


def test_another_machines_server_must_answer(ollama: CommandLine) -> None:
    message = failure(ollama.at("no-such-machine.invalid:1").run("list"))
    assert message.startswith("could not connect to ollama server at http://no-such-machine.invalid:1\n")


def test_a_command_line_that_is_wrong_exits_1(ollama: CommandLine) -> None:
    for arguments in (("lsit",), ("list", "--all"), ("cp", "one"), ("run",), ("--serve", "list")):
        assert ollama.run(*arguments).returncode == 1, arguments


def test_a_setting_that_is_wrong_is_named(ollama: CommandLine) -> None:
    assert "OLLAMA_KEEP_ALIVE" in failure(ollama.with_env(OLLAMA_KEEP_ALIVE="soon").run("list"))


def test_the_workstation_needs_a_terminal(ollama: CommandLine) -> None:
    assert failure(ollama.run()).startswith("the workstation needs a terminal\n")
    assert failure(ollama.run("chat", "bard")).startswith("the workstation needs a terminal\n")


@pytest.mark.parametrize("manifest", ['{"sch', "", "{}"])
def test_a_broken_model_can_be_removed(manifest: str, ollama: CommandLine) -> None:
    ollama.run("list")
    folder = ollama.home / "models" / "manifests" / "registry.ollama.ai" / "library" / "half"
    folder.mkdir()
    (folder / "latest").write_text(manifest)
    assert "bard:latest" in ollama.run("list").stdout
    assert ollama.run("rm", "half").stdout == "deleted 'half'\n"
    assert not folder.exists()


def test_a_store_that_is_no_folder_is_an_error(ollama: CommandLine) -> None:
    message = failure(ollama.with_env(OLLAMA_MODELS="/dev/null").run("list"))
    assert message.startswith("/dev/null is not a folder\n")


def test_create_quantizes_and_says_how_far_it_is(ollama: CommandLine) -> None:
    random_model(ollama.home / "m.gguf", n_layer=1, width=256, ff=256, heads=4, kv_heads=4)
    (ollama.home / "Modelfile").write_text("FROM m.gguf\n")
    result = ollama.run("create", "small", "-q", "q4_k_m")
    assert result.returncode == 0, result.stderr
    assert "quantizing F16 model to Q4_K_M" in result.stderr
    assert "Q4_K_M" in ollama.run("show", "small").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-q", "q9"), "unsupported quantization type q9 - supported types are F32, F16"),
        (("-q", "iq2_xs"), "quantization type IQ2_XS needs an importance matrix"),
        (("--imatrix", "Modelfile"), "the file is no importance matrix"),
        (("--draft-quantize", "q8_0"), "--draft-quantize requires a DRAFT model"),
    ],
)
def test_create_refuses_a_quantization_before_it_reads_the_weights(
    arguments: tuple[str, ...], message: str, ollama: CommandLine
) -> None:
    (ollama.home / "Modelfile").write_text("FROM bard\n")
    assert message in failure(ollama.run("create", "x", *arguments))
