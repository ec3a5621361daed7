"""`create --in-place` from the file to an answer."""

from __future__ import annotations

from tests.support.command_line import CommandLine
from tests.support.foreign_server import foreign_server
from tests.support.gguf_models import scripted_model
from tests.tui.cli.conftest import ANSWER


def test_a_model_is_made_of_a_file_in_place_and_runs(ollama: CommandLine) -> None:
    path = ollama.home / "bard.gguf"
    scripted_model(path, ANSWER)
    before = path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode
    (ollama.home / "Modelfile").write_text("FROM bard.gguf\nPARAMETER num_ctx 2048\n")
    created = ollama.run("create", "bard", "--in-place")
    assert created.returncode == 0, created.stderr
    assert "bard.gguf: hard link" in created.stderr or "bard.gguf: reflink" in created.stderr
    answered = ollama.run("run", "bard", "Speak.")
    assert ANSWER in answered.stdout, answered.stderr
    assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_mode) == before
    if "hard link" in created.stderr:
        with path.open("r+b") as file:
            file.truncate(100)
        refused = ollama.run("run", "bard", "Speak.")
        assert refused.returncode == 1
        assert "bard.gguf was changed" in refused.stderr
        assert ollama.run("list").returncode == 0
    assert ollama.run("rm", "bard").returncode == 0
    assert path.stat().st_nlink == 1


def test_a_server_is_refused(ollama: CommandLine) -> None:
    scripted_model(ollama.home / "bard.gguf", ANSWER)
    (ollama.home / "Modelfile").write_text("FROM bard.gguf\n")
    with foreign_server() as server:
        refused = ollama.at(server.host).run("create", "bard", "--in-place")
    assert refused.returncode == 1
    assert "--in-place works on the store of this process" in refused.stderr
