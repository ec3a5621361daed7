"""Who may know whom, as docs/architecture.md draws it: the contracts in pyproject.toml hold."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_contract_is_kept() -> None:
    result = lint(ROOT / "pyproject.toml")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_linter_sees_an_import_that_a_contract_forbids(tmp_path: Path) -> None:
    """Without the exception for the one module that may, the import of llama_cpp must be found."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    name = next(contract["name"] for contract in contracts if "ignore_imports" in contract)
    config = tmp_path / "importlinter.toml"
    config.write_text(
        "[tool.importlinter]\n"
        'root_packages = ["ollama_engine"]\n'
        "include_external_packages = true\n"
        "[[tool.importlinter.contracts]]\n"
        f'name = "{name}"\n'
        'type = "forbidden"\n'
        'source_modules = ["ollama_engine"]\n'
        'forbidden_modules = ["llama_cpp"]\n',
        encoding="utf-8",
    )
    result = lint(config)
    assert result.returncode == 1
    assert "ollama_engine.runner.llama -> llama_cpp" in result.stdout
