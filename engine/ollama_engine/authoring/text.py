"""The text that an editor begins with: of a new model, and of one that is in the store."""

from __future__ import annotations

from ollama_engine.errors import EngineError
from ollama_engine.modelfile.parser import Command, Modelfile, parse_modelfile
from ollama_engine.modelfile.printer import print_modelfile
from ollama_engine.modelfile.stored import stored_blob


def new_text(base: str = "") -> str:
    """A beginning that says what there is to say, as comments."""
    return (
        f"FROM {base}\n"
        "\n"
        "# What it is told before every conversation:\n"
        '# SYSTEM """You answer in one short sentence."""\n'
        "\n"
        "# How it chooses its words, and how far it looks back:\n"
        "# PARAMETER temperature 0.7\n"
        "# PARAMETER num_ctx 8192\n"
    )


def editable_text(modelfile: str, name: str, *, parent: str = "", parent_modelfile: str = "") -> str:
    """The Modelfile that `show` has of the model `name`, to be edited.

    Where its weights are those of its `parent`, FROM names the parent, as whoever made it wrote; else FROM keeps the
    paths of its blobs, below a comment that says what they are. What cannot be read is left as it is.
    """
    try:
        commands = parse_modelfile(modelfile).commands
        same = parent_modelfile and _files(parent_modelfile) == _files(modelfile)
    except EngineError:
        return modelfile
    if same:
        kept = tuple(command for command in commands if command.name not in ("from", "adapter", "draft"))
        return print_modelfile(Modelfile((Command("from", parent), *kept)), strict=False)
    stored = any(stored_blob(command) for command in commands)
    header = [f"FROM names the weights of {name} as they are in the store."] if stored else []
    return print_modelfile(Modelfile(commands), header=header, strict=False)


def _files(modelfile: str) -> list[Command]:
    return [command for command in parse_modelfile(modelfile).commands if command.name in ("from", "adapter", "draft")]
