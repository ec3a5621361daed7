"""`search`: the catalog at the command line."""

from __future__ import annotations

from tests.support.command_line import CommandLine


def test_the_catalog_says_what_fits_and_how_old_it_is(ollama: CommandLine) -> None:
    result = ollama.run("search", "llama3.2", "tools")
    assert result.returncode == 0
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["NAME", "SIZE", "MEMORY", "FITS", "CAPABILITIES", "NOTE"]
    assert [row.split()[:3] for row in rows] == [["llama3.2:1b", "1.3", "GB"], ["llama3.2:3b", "2", "GB"]]
    assert "known on 20" in result.stderr
    assert not (ollama.home / "models").exists()


def test_nothing_found_is_told_by_the_exit_status(ollama: CommandLine) -> None:
    result = ollama.run("search", "no-such-model")
    assert (result.returncode, result.stdout.count("\n")) == (1, 1)
