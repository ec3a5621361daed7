"""What the shell's Tab offers: commands without importing them, models by the names of their files.

No server is asked and nothing is written: a completion must come at once and cost nothing. Whatever is wrong (settings,
a store that cannot be read) means that nothing is offered.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

from ollama_engine.errors import EngineError

if TYPE_CHECKING:
    from ollama_engine.settings import Settings

LIBRARY = "registry.ollama.ai"
SHELLS = ("bash", "zsh", "fish")


def complete_model(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of models in this machine's store, but those that stand on the line already."""
    taken = {word for value in context.params.values() for word in (value if isinstance(value, tuple) else (value,))}
    try:
        names = model_names(context.obj.settings if context.obj else _settings())
    except EngineError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and name not in taken]


def _settings() -> Settings:
    from ollama_engine.settings import Settings

    return Settings.resolve()


def model_names(settings: Settings) -> list[str]:
    """The names under `manifests/`, as they are written shortest; `:latest` is left out, for it need not be said.

    Bundled models are put into the store by the first command that opens it, and are offered from then on.
    """
    found: list[str] = []
    root = settings.models / "manifests"
    for host in _folders(root):
        for namespace in _folders(root / host):
            for model in _folders(root / host / namespace):
                found += [_short(host, namespace, model, tag) for tag in _files(root / host / namespace / model)]
    return sorted(found)


def _short(host: str, namespace: str, model: str, tag: str) -> str:
    place = "" if host == LIBRARY else f"{host}/"
    if not (host == LIBRARY and namespace == "library"):
        place += f"{namespace}/"
    return f"{place}{model}" + ("" if tag == "latest" else f":{tag}")


def _folders(path: Path) -> list[str]:
    return [name for name in _visible(path) if (path / name).is_dir()]


def _files(path: Path) -> list[str]:
    return [name for name in _visible(path) if (path / name).is_file()]


def _visible(path: Path) -> list[str]:
    try:
        return [name for name in os.listdir(path) if not name.startswith(".")]
    except OSError:
        return []


_SOURCE_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n'
    local response completion type value
    # Bash splits words at colons, which names of models have: the line itself is sent, and what it has of a word
    # already, up to the last colon, is cut off the answers.
    local line="${COMP_LINE:0:COMP_POINT}"
    local word="${line##*[[:space:]]}"
    local before="${word%%"${word##*:}"}"
    [[ $COMP_WORDBREAKS == *:* ]] || before=

    response=$(env COMP_LINE="$line" %(complete_var)s=bash_complete "$1")

    for completion in $response; do
        IFS=',' read type value <<< "$completion"

        if [[ $type == 'dir' ]]; then
            COMPREPLY=()
            compopt -o dirnames 2>/dev/null
        elif [[ $type == 'file' ]]; then
            COMPREPLY=()
            compopt -o default 2>/dev/null
        elif [[ $type == 'plain' ]]; then
            COMPREPLY+=("${value#"$before"}")
        fi
    done

    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
"""


class ColonBashComplete(BashComplete):
    """Click's completion for bash, made to understand words with colons."""

    source_template = _SOURCE_BASH

    @staticmethod
    def _check_version() -> None:
        """Click wants bash 4.4; this script also does without what came with that."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        incomplete = "" if not words or line[-1:].isspace() else words.pop()
        return words[1:], incomplete


def teach_click() -> None:
    """Let click use our completion for bash."""
    add_completion_class(ColonBashComplete)
