"""Which files a FROM or ADAPTER line means: a GGUF file, its shards, those of a folder, or none (spec §5.3)."""

from __future__ import annotations

from pathlib import Path

from ollama_engine.errors import InvalidRequest, ModelfileError
from ollama_engine.gguf import find_shards
from ollama_engine.modelfile.parser import Command

_SAFETENSORS = ("*.safetensors", "*/*.safetensors", "consolidated*.pth", "pytorch_model*.bin")
_CONVERT = "Convert it with llama.cpp's convert_hf_to_gguf.py and name the .gguf file."


def find_gguf_files(command: Command, base_dir: Path) -> list[Path]:
    """The GGUF files that the value of `command` means, seen from the folder of the Modelfile.

    Empty where the value is no path but may be a model's name: nothing is there, and it does not look like a path.

    Raises:
        ModelfileError: a path where nothing is, a folder without GGUF files, a link out of its folder.
        InvalidGGUF: a shard is missing.
    """
    value = command.args
    path = _expanded(command, base_dir)
    try:
        if path.is_dir():
            return _in_folder(command, path)
        if path.is_file():
            return find_shards(path)
        exists = path.exists()
    except (OSError, ValueError) as error:
        raise _at(command, f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if exists:
        raise _at(command, f"{path} is neither a file nor a folder", "Name a .gguf file.")
    if command.name != "from" or _looks_like_path(value):
        raise _at(command, f"no such file: {path}", f"Correct the path behind {command.name.upper()}.")
    return []


def _in_folder(command: Command, folder: Path) -> list[Path]:
    files = sorted(path for path in folder.glob("*.gguf") if path.is_file())
    for path in files:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _at(command, f"insecure path: {path} leads out of its folder", "Name the file that it links to.")
    if files:
        return files
    if any(next(folder.glob(pattern), None) for pattern in _SAFETENSORS):
        raise _at(command, f"{folder} holds a safetensors or PyTorch model, not GGUF", _CONVERT)
    if _looks_like_path(command.args) or command.name != "from":
        raise _at(command, f"no GGUF files found in {folder}", "Name a .gguf file, or the folder that holds one.")
    return []


def _expanded(command: Command, base_dir: Path) -> Path:
    try:
        path = Path(command.args).expanduser()
    except RuntimeError as error:
        raise _at(command, f"no home folder is known for {command.args}", "Write the whole path.") from error
    return path if path.is_absolute() else base_dir / path


def _looks_like_path(value: str) -> bool:
    return value.startswith((".", "~", "/")) or "\\" in value or value.lower().endswith((".gguf", ".safetensors"))


def _at(command: Command, message: str, hint: str = "") -> InvalidRequest:
    return ModelfileError(message, line=command.line, hint=hint)
