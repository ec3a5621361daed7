"""`doctor`: each check told of something wrong says so with the way out; the command's exit status is the verdict."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from ollama_engine import __version__
from ollama_engine.keys import Keyring
from ollama_engine.registry import RegistryConfig
from ollama_engine.runner.protocol import GgmlDevice, LlamaBuild
from ollama_engine.settings import HostAddress
from ollama_engine.store.store import Store
from ollama_tui.cli.doctor import build, server, store, surroundings
from ollama_tui.cli.doctor.finding import Finding
from tests.support.command_line import CommandLine

BUILD = LlamaBuild("0.25.3", "0c1e570", ["CPU"], ["AVX", "AVX2", "FMA", "F16C"], False)
TABLES = {"registry": lambda table: RegistryConfig.from_table(table)}
HERE = HostAddress(port=11434)

bound_by_permissions = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


def is_wrong(finding: Finding | None, message: str, fix: str = "") -> None:
    assert finding is not None
    assert (finding.state, message in finding.message, fix in finding.fix) == ("wrong", True, True), finding
    assert finding.fix


class TestBuild:
    def test_an_old_python(self) -> None:
        assert build.check_python().state == "ok"
        is_wrong(build.check_python((3, 10)), "3.11 or newer")

    def test_a_library_that_is_missing_or_another_version_than_the_pinned(self) -> None:
        def installed(name: str) -> str:
            if name == "gone":
                raise PackageNotFoundError(name)
            return "0.3.35"

        needed = [
            "gone>=1",
            "llama-cpp-python==0.3.36",
            "fine[extra]>=0.1 ; python_version > '3'",
            "x; extra == 'test'",
        ]
        is_wrong(
            build.check_packages(needed, installed),
            "gone is missing, llama-cpp-python is 0.3.35, not 0.3.36",
            "pip install",
        )
        assert build.check_packages(needed[2:], installed).message.endswith("1 requirements met")
        assert build.check_packages().state in ("ok", "note")

    def test_a_build_without_backends(self) -> None:
        assert build.check_llama(BUILD, "0.3.36").state == "ok"
        is_wrong(build.check_llama(_with(backends=[]), "0.3.36"), "it can compute on nothing", "pip install")

    def test_a_build_that_leaves_the_processor_idle(self) -> None:
        assert build.check_cpu(BUILD, {"avx2", "fma"}).state == "ok"
        assert build.check_cpu(BUILD, set()).state == "ok"
        is_wrong(build.check_cpu(BUILD, {"avx2", "avx512f"}), "also has AVX512", "GGML_NATIVE")

    def test_flags_are_read_as_linux_writes_them(self, tmp_path: Path) -> None:
        path = tmp_path / "cpuinfo"
        path.write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu\n")
        assert build.cpu_flags(path) == {"fpu", "avx2", "fma"}
        assert build.cpu_flags(tmp_path / "none") == frozenset()

    def test_a_gpu_that_the_build_cannot_use(self) -> None:
        is_wrong(build.check_gpu_backend(BUILD, lambda path: "nvidia" in path), "an NVIDIA GPU", "GGML_CUDA=on")
        is_wrong(build.check_gpu_backend(BUILD, lambda path: path == "/dev/kfd"), "an AMD GPU", "GGML_HIP=on")
        assert build.check_gpu_backend(BUILD, lambda path: False) is None
        assert build.check_gpu_backend(_with(backends=["CUDA", "CPU"]), lambda path: True) is None

    def test_devices_are_told_with_their_memory(self) -> None:
        found = build.check_devices(
            [GgmlDevice("CUDA0", "RTX", "gpu", 1, 8_000_000_000), GgmlDevice("X", "", "accel", 0, 0)]
        )
        assert [finding.message for finding in found] == ["CUDA0: RTX, 1 B of 8 GB free", "X: accel"]

    def test_a_command_that_is_not_on_path(self) -> None:
        assert build.check_tools(lambda name: f"/usr/bin/{name}") is None
        told = build.check_tools(lambda name: None)
        assert told is not None
        assert told.fix.startswith('export PATH="/')


def _with(**fields: object) -> LlamaBuild:
    return LlamaBuild(**{field: getattr(BUILD, field) for field in BUILD.__struct_fields__} | fields)


class TestStore:
    @pytest.fixture
    def models(self, tmp_path: Path) -> Store:
        made = Store(tmp_path / "models")
        layer = made.add_layer("application/vnd.ollama.image.system", b"Be brief.")
        config = made.add_layer("application/vnd.docker.container.image.v1+json", b"{}")
        from ollama_engine.store.manifest import Manifest

        made.put_manifest("tiny", Manifest(config=config, layers=[layer]))
        return made

    def test_a_store_that_is_whole(self, models: Store) -> None:
        assert store.check_folder(models.root).state == "ok"
        assert store.check_manifests(models) is None
        assert store.check_blobs(models).message == "1 model, 11 B, all there"
        assert store.check_partials(models) is None

    def test_a_place_that_is_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "models").write_text("")
        is_wrong(store.check_folder(tmp_path / "models"), "is not a folder", "config set models")

    def test_a_folder_that_is_not_there_yet(self, tmp_path: Path) -> None:
        assert store.check_folder(tmp_path / "a" / "b").state == "ok"

    @bound_by_permissions
    @pytest.mark.parametrize(("mode", "message"), [(0o000, "cannot be read"), (0o500, "can be read, and not written")])
    def test_a_folder_that_is_closed(self, mode: int, message: str, tmp_path: Path) -> None:
        root = tmp_path / "models"
        root.mkdir(mode=mode)
        is_wrong(store.check_folder(root), message, "chown")
        if mode == 0o500:
            is_wrong(store.check_folder(root / "below"), "cannot be made", "install -d")

    def test_a_folder_that_anybody_may_write_to(self, tmp_path: Path) -> None:
        root = tmp_path / "models"
        root.mkdir()
        root.chmod(0o777)
        is_wrong(store.check_folder(root), "anybody may write", "chmod o-w")

    @bound_by_permissions
    def test_blobs_of_somebody_elses(self, models: Store) -> None:
        assert store.check_foreign_files(models.root) is None
        next((models.root / "blobs").glob("sha256-*")).chmod(0o000)
        is_wrong(store.check_foreign_files(models.root), "cannot be read", "chmod -R a+rX")

    def test_a_disk_that_is_full(self) -> None:
        assert store.check_room(10**12).state == "ok"
        is_wrong(store.check_room(10**9), "1 GB are free", "prune")

    def test_a_manifest_that_cannot_be_read(self, models: Store) -> None:
        (models.root / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "latest").write_text("{")
        is_wrong(store.check_manifests(models), "tiny:latest cannot be read", "ollama-tui rm tiny:latest")

    def test_a_blob_that_is_missing_or_cut(self, models: Store) -> None:
        blob = next(path for path in (models.root / "blobs").glob("sha256-*") if path.stat().st_size == 9)
        blob.write_bytes(b"Be")
        is_wrong(store.check_blobs(models), "of tiny:latest has 2 bytes, not 9", "ollama-tui pull tiny:latest")
        blob.unlink()
        is_wrong(store.check_blobs(models), "of tiny:latest is missing", "ollama-tui pull tiny:latest")

    def test_downloads_that_were_left(self, models: Store) -> None:
        (models.root / "blobs" / f"sha256-{'0' * 64}-partial").write_bytes(b"x" * 4096)
        found = store.check_partials(models)
        assert found is not None
        assert (found.state, found.fix) == ("note", "ollama-tui prune --partials")


class TestServer:
    def test_a_port_that_another_program_has(self) -> None:
        is_wrong(
            server.check_port(HERE, listens=True, speaks_ollama=False), "another program", "OLLAMA_HOST=127.0.0.1:11435"
        )
        assert "the commands use it" in server.check_port(HERE, listens=True, speaks_ollama=True).message

    def test_an_address_that_cannot_be_had(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = replace(HERE, port=taken.getsockname()[1])
            is_wrong(server.check_bind(address), "no server can listen", "OLLAMA_HOST=")
        is_wrong(server.check_bind(replace(HERE, host="192.0.2.1")), "no server can listen", "has no such address")
        assert server.check_bind(replace(HERE, port=0)).state == "ok"

    def test_another_machine_that_is_silent(self) -> None:
        address = HostAddress(host="gpu-box")
        is_wrong(server.check_remote(address, speaks_ollama=False), "no server answers at http://gpu-box:11434")
        assert server.check_remote(address, speaks_ollama=True).state == "ok"

    def test_a_server_of_another_version(self) -> None:
        assert server.check_version(__version__, ours=True).state == "ok"
        is_wrong(server.check_version("0.0.9", ours=True), "is version 0.0.9", "Start the server anew")
        assert server.check_version("0.9.0", ours=False).state == "note"

    def test_a_server_that_others_reach(self) -> None:
        everywhere = HostAddress(host="0.0.0.0")
        assert server.check_exposure(HERE, "never") is None
        found = server.check_exposure(everywhere, "remote")
        assert found is not None
        assert found.state == "note"
        found = server.check_exposure(everywhere, "never")
        assert found is not None
        is_wrong(found, "asks nobody for a key", "OLLAMA_REQUIRE_KEY=remote")

    def test_keys(self, tmp_path: Path) -> None:
        keyring = Keyring(tmp_path / "keys.json")
        keyring.create()
        assert server.check_keys(keyring).state == "ok"
        assert "1 known" in server.check_keys(keyring).message


class TestSurroundings:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        return tmp_path / "config.toml"

    @pytest.mark.parametrize(
        ("text", "message", "fix"),
        [
            ("max_quue = 1\n", "unknown setting 'max_quue'", "Did you mean 'max_queue'?"),
            ("[registry]\nconnections = 0\n", "bad [registry] settings", "Correct the file"),
            ("[rgistry]\n", "there is no table [rgistry]", "[registry]"),
            ("=\n", "cannot read settings", "Correct or remove"),
        ],
    )
    def test_a_settings_file_that_is_wrong(self, text: str, message: str, fix: str, file: Path) -> None:
        assert surroundings.check_config(file, TABLES).state == "ok"
        file.write_text(text)
        is_wrong(surroundings.check_config(file, TABLES), message, fix)
        file.write_text("max_queue = 1\n")
        assert surroundings.check_config(file, TABLES).state == "ok"

    def test_secrets_that_others_may_read(self, file: Path) -> None:
        text = '[registry.hosts."a"]\npassword = "x"\n'
        file.write_text(text)
        file.chmod(0o644)
        is_wrong(surroundings.check_config_mode(file, text), "others may read it", "chmod 600")
        assert surroundings.check_config_mode(file, "max_queue = 1\n") is None
        file.chmod(0o600)
        assert surroundings.check_config_mode(file, text) is None

    def test_variables(self) -> None:
        environ = {
            "OLLAMA_KEEP_ALIVE": "soon",
            "OLLAMA_KEEPALIVE": "5m",
            "OLLAMA_MAX_QUEUE": "5",
            "OLLAMA_CLOUD_BASE_URL": "x",
            "OLLAMA_ZZZZ": "1",
            "HOME": "/root",
        }
        found = surroundings.check_variables(environ)
        assert [finding.state for finding in found] == ["note", "wrong", "wrong", "ok", "note"]
        is_wrong(found[1], "OLLAMA_KEEPALIVE means nothing; OLLAMA_KEEP_ALIVE would", "export OLLAMA_KEEP_ALIVE")
        is_wrong(found[2], "bad value 'soon'", "unset OLLAMA_KEEP_ALIVE")
        assert found[3].message == "OLLAMA_MAX_QUEUE=5"

    def test_a_proxy_is_told_of(self) -> None:
        found = surroundings.check_proxies({"https_proxy": "http://p"})
        assert found is not None
        assert "HTTPS_PROXY" in found.message
        assert surroundings.check_proxies({}) is None

    def test_a_terminal_that_cannot_show_text(self) -> None:
        is_wrong(surroundings.check_encoding("ascii"), "written as ascii", "LANG=C.UTF-8")
        assert surroundings.check_encoding("UTF-8").state == "ok"
        is_wrong(_terminal("dumb"), "TERM is dumb", "TERM=xterm-256color")
        is_wrong(_terminal(""), "TERM is not set")
        assert _terminal("xterm").state == "ok"
        assert _terminal("xterm", columns=60).state == "note"
        assert _terminal("xterm", is_terminal=False).state == "note"


def _terminal(term: str, *, is_terminal: bool = True, columns: int = 80) -> Finding:
    return surroundings.check_terminal({"TERM": term}, is_terminal=is_terminal, columns=columns, lines=24)


@pytest.fixture
def free(ollama: CommandLine) -> CommandLine:
    """As `ollama`, at a port that could be had."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return ollama.at(f"127.0.0.1:{port}")


def test_the_command_looks_at_everything_and_says_what_is_wrong(free: CommandLine) -> None:
    result = free.run("doctor", "--json")
    report = json.loads(result.stdout)
    assert result.stderr == ""
    assert {
        "python",
        "packages",
        "build",
        "device",
        "store",
        "disk",
        "models",
        "port",
        "keys",
        "settings",
        "terminal",
    } >= {finding["check"] for finding in report["findings"]} - {"cpu", "gpu", "path", "environment"}
    assert report["healthy"] == (result.returncode == 0)
    assert report["healthy"] == all(finding["state"] != "wrong" for finding in report["findings"])
    assert not (free.home / "models").exists()

    result = free.with_env(OLLAMA_KEEP_ALIVE="soon").run("doctor")
    assert result.returncode == 1
    told = result.stdout.splitlines()
    at = next(number for number, line in enumerate(told) if line.startswith("WRONG  environment: bad value 'soon'"))
    assert told[at + 1].strip() == "unset OLLAMA_KEEP_ALIVE"


def test_a_server_that_answers_is_asked_who_it_is(ollama: CommandLine) -> None:
    with ollama.serving() as served:
        report = json.loads(served.run("doctor", "--json").stdout)
    messages = [finding["message"] for finding in report["findings"]]
    assert any(message.endswith("the commands use it") for message in messages)
    assert f"it is this program's, version {__version__}" in messages
