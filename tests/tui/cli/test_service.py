"""Service files: what they say, and that nothing is run that was not told of first."""

from __future__ import annotations

import os
import plistlib
import pwd
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ollama_engine.errors import InvalidRequest
from ollama_engine.settings import HostAddress, Settings
from ollama_tui.cli.service import plan as plan_module
from ollama_tui.cli.service.launchd import plist_text
from ollama_tui.cli.service.plan import ServicePlan, make_plan
from ollama_tui.cli.service.systemd import quoted, quoted_argument, unit_text
from tests.support.command_line import CommandLine

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def outside_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program lies where a system service can read it, whoever runs the tests from wherever."""
    monkeypatch.setattr(plan_module, "program", lambda: ["/opt/ollama-tui/bin/ollama-tui"])


def lines(text: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]


def test_your_own_service_has_what_the_environment_says_now(tmp_path: Path) -> None:
    config = tmp_path / "config" / "ollama-tui" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("max_queue = 3\n")
    environ = {
        "OLLAMA_KEEP_ALIVE": "1h",
        "OLLAMA_MODELS": "~/models",
        "OLLAMA_NOHISTORY": "1",
        "HTTPS_PROXY": "http://p:1",
    }
    plan = make_plan(Settings.resolve(environ=environ, host=HostAddress.parse("0.0.0.0:8080")), environ)
    assert plan.environment == {
        "HTTPS_PROXY": "http://p:1",
        "OLLAMA_HOST": "0.0.0.0:8080",
        "OLLAMA_KEEP_ALIVE": "1h0m0s",
        "OLLAMA_MODELS": str(tmp_path / "models"),
    }
    assert Path(plan.command[0]).is_absolute()
    assert plan.command[-1] == "serve"


@pytest.mark.usefixtures("outside_home")
def test_a_service_of_the_system_takes_the_settings_file_over(tmp_path: Path) -> None:
    config = tmp_path / "config" / "ollama-tui" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("max_queue = 3\n")
    plan = make_plan(Settings.resolve(environ={}), {}, system=True)
    assert plan.environment == {
        "HOME": "/var/lib/ollama-tui",
        "OLLAMA_HOST": "127.0.0.1:11434",
        "OLLAMA_MAX_QUEUE": "3",
        "OLLAMA_MODELS": "/var/lib/ollama-tui/models",
    }
    text = unit_text(plan)
    assert lines(text, "DynamicUser") == ["yes"]
    assert lines(text, "StateDirectory") == ["ollama-tui"]
    assert lines(text, "ProtectHome") == ["yes"]
    assert lines(text, "CapabilityBoundingSet") == [""]
    assert lines(text, "WantedBy") == ["multi-user.target"]
    privileged = unit_text(replace(plan, port=80, models=Path("/srv/my models")))
    assert lines(privileged, "AmbientCapabilities") == ["CAP_NET_BIND_SERVICE"]
    assert lines(privileged, "ReadWritePaths") == ["-/srv/my\\x20models"]


def test_a_program_in_a_home_folder_is_no_system_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ollama-tui"
    program.touch()
    monkeypatch.setattr(plan_module, "program", lambda: [str(program)])
    with pytest.raises(InvalidRequest, match="lies in a home folder") as caught:
        make_plan(Settings.resolve(environ={}), {}, system=True)
    assert caught.value.hint.endswith(f"--run-as {ME}")
    text = unit_text(make_plan(Settings.resolve(environ={}), {}, system=True, user=ME))
    assert lines(text, "User") == [ME]
    assert lines(text, "DynamicUser") == []
    with pytest.raises(InvalidRequest, match="there is no user 'nobody-such'"):
        make_plan(Settings.resolve(environ={}), {}, system=True, user="nobody-such")


def test_secrets_do_not_go_into_a_file_that_others_read() -> None:
    environ = {"HTTPS_PROXY": "http://ann:secret@proxy:1"}
    plan = make_plan(Settings.resolve(environ={}), environ)
    assert plan.left_out == ["HTTPS_PROXY"]
    assert "secret" not in unit_text(plan)


def test_odd_values_are_quoted_as_systemd_reads_them() -> None:
    assert quoted('A=1 "2" 50% \\ $HOME') == '"A=1 \\"2\\" 50%% \\\\ $HOME"'
    assert quoted_argument("/opt/a b/$x") == '"/opt/a b/$$x"'
    assert quoted_argument("/opt/plain") == "/opt/plain"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("system", [False, True])
def test_systemd_finds_nothing_wrong_with_the_unit(system: bool, tmp_path: Path) -> None:
    folder = tmp_path / "a 50% folder"
    folder.mkdir()
    program = folder / "ollama-tui"
    program.symlink_to(sys.executable)
    plan = ServicePlan(
        command=[str(program), "serve"],
        environment={"OLLAMA_HOST": "127.0.0.1:1", "ODD": 'a "b" %h $c \\'},
        system=system,
    )
    unit = tmp_path / "ollama-tui.service"
    unit.write_text(unit_text(plan))
    scope = "--system" if system else "--user"
    result = subprocess.run(
        ["systemd-analyze", "verify", scope, "--man=no", "--generators=no", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, [line for line in result.stderr.splitlines() if "ollama-tui" in line]) == (0, [])


def test_the_property_list_says_the_same(tmp_path: Path) -> None:
    plan = ServicePlan(command=["/opt/ollama-tui", "serve"], environment={"OLLAMA_HOST": "127.0.0.1:1"})
    content = plistlib.loads(plist_text(plan).encode())
    assert content["ProgramArguments"] == ["/opt/ollama-tui", "serve"]
    assert content["EnvironmentVariables"] == {"OLLAMA_HOST": "127.0.0.1:1"}
    assert content["RunAtLoad"] is True
    assert content["StandardErrorPath"] == str(tmp_path / "Library" / "Logs" / "ollama-tui.log")


@pytest.fixture
def managed(ollama: CommandLine, tmp_path: Path) -> CommandLine:
    """Fake systemctl and launchctl that note what they are told; `is-active` says yes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("systemctl", "launchctl"):
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/told\n[ ! -e {tmp_path}/broken ]\n')
        program.chmod(0o755)
    return ollama.with_env(PATH=f"{folder}:{os.environ['PATH']}")


def told(managed: CommandLine) -> list[str]:
    path = managed.home / "told"
    said = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return said


class TestInstalling:
    def test_it_says_every_command_before_it_runs_it(self, managed: CommandLine) -> None:
        unit = managed.home / ".config" / "systemd" / "user" / "ollama-tui.service"
        result = managed.call("service", "install")
        assert result.returncode == 0, result.stderr
        assert lines(unit.read_text(), "Environment")[0] == f'"OLLAMA_HOST={managed.host}"'
        commands = [
            "systemctl --user daemon-reload",
            "systemctl --user enable ollama-tui.service",
            "systemctl --user restart ollama-tui.service",
        ]
        assert told(managed) == commands
        assert [line[2:] for line in result.stderr.splitlines() if line.startswith("$ ")] == commands
        assert result.stderr.startswith(f"Wrote {unit}\n")

        status = managed.call("service", "status")
        assert (status.returncode, status.stdout.splitlines()[0]) == (0, f"running ({unit})")
        assert "differs" not in status.stdout
        changed = managed.with_env(OLLAMA_MAX_QUEUE="3").call("service", "status")
        assert "differs from what install would write now" in changed.stdout
        told(managed)

        assert managed.call("service", "uninstall").returncode == 0
        assert told(managed) == ["systemctl --user disable --now ollama-tui.service", "systemctl --user daemon-reload"]
        assert not unit.exists()
        assert managed.call("service", "status").returncode == 1
        assert managed.call("service", "uninstall").returncode == 1

    def test_print_and_no_start_run_nothing(self, managed: CommandLine) -> None:
        printed = managed.call("service", "install", "--print")
        assert printed.stdout == managed.call("service", "print").stdout
        unit = managed.home / ".config" / "systemd" / "user" / "ollama-tui.service"
        assert not unit.exists()
        assert managed.call("service", "install", "--no-start").returncode == 0
        assert unit.read_text() == printed.stdout
        assert told(managed) == []

    def test_a_file_of_somebody_elses_is_left_alone(self, managed: CommandLine) -> None:
        unit = managed.home / ".config" / "systemd" / "user" / "ollama-tui.service"
        unit.parent.mkdir(parents=True)
        unit.write_text("[Service]\n")
        for verb in ("install", "uninstall"):
            result = managed.call("service", verb)
            assert result.returncode == 1
            assert "was not made by this program" in result.stderr
        assert unit.read_text() == "[Service]\n"
        assert managed.call("service", "install", "--force", "--no-start").returncode == 0

    def test_a_command_that_fails_is_named_with_what_is_left(self, managed: CommandLine) -> None:
        (managed.home / "broken").touch()
        result = managed.call("service", "install")
        assert result.returncode == 1
        error, hint = result.stderr.splitlines()[-2:]
        assert error == "Error: systemctl --user daemon-reload ended with status 1"
        assert hint.startswith("Left to do: systemctl --user daemon-reload; systemctl --user enable")

    def test_launchd_is_told_in_its_own_words(self, managed: CommandLine) -> None:
        plist = managed.home / "Library" / "LaunchAgents" / "ollama-tui.plist"
        domain = f"gui/{os.getuid()}"
        assert managed.call("service", "install", "--manager", "launchd").returncode == 0
        assert told(managed) == [f"launchctl bootstrap {domain} {plist}", f"launchctl kickstart {domain}/ollama-tui"]
        assert managed.call("service", "uninstall", "--manager", "launchd").returncode == 0
        assert told(managed) == [f"launchctl bootout {domain}/ollama-tui"]

    def test_run_as_belongs_to_the_system(self, managed: CommandLine) -> None:
        assert managed.call("service", "install", "--run-as", ME).returncode == 1
