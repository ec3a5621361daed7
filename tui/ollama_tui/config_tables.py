"""The tables of config.toml and who checks each: what `config set` and `doctor` ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ollama_engine.config_file import CheckTable


def _registry(table: Mapping[str, Any]) -> None:
    from ollama_engine.registry import RegistryConfig  # brings the HTTP client, which no other setting needs

    RegistryConfig.from_table(table)


TABLES: Mapping[str, CheckTable] = {"registry": _registry}
