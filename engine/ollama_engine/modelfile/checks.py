"""What a create request must get right before anything is made of it (spec §1.9)."""

from __future__ import annotations

import re

from ollama_engine.errors import InvalidRequest
from ollama_engine.options import DEPRECATED, OPTION_KINDS, merge_options, unknown_parameter
from ollama_engine.store import digests
from ollama_engine.types import JSON, CreateRequest

QUANTIZATIONS = ("F32", "F16", "BF16", "Q8_0", "Q4_K_S", "Q4_K_M", "Q4_K")

_SEMVER = re.compile(
    r"v?(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){0,2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)


def check_request(request: CreateRequest) -> None:
    """Raise InvalidRequest (InvalidDigest) for what can be seen to be wrong without looking at a file."""
    files, adapters = request.files or {}, request.adapters or {}
    for path, digest in [*files.items(), *adapters.items()]:
        check_file_path(path)
        digests.parse(digest)
    if not request.from_ and request.files is None:
        raise InvalidRequest(
            "neither 'from' or 'files' was specified", hint="Give the model to build on, or GGUF files."
        )
    if not request.from_ and not files:
        raise InvalidRequest("no files provided to convert", hint="Give the digest of at least one GGUF file.")
    if len(adapters) > 1:
        raise InvalidRequest("only one adapter is currently supported", hint="Merge the adapters, or give one.")
    if request.quantize:
        raise _quantize(request.quantize)
    check_requires(request.requires)


def check_file_path(path: str) -> None:
    """As Go's fs.ValidPath: relative, without empty, `.` or `..` elements."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidRequest(f"file path must be relative: {path!a}", hint="Name files as weights/model.gguf.")


def check_requires(requires: str) -> None:
    if requires and not _SEMVER.fullmatch(requires):
        raise InvalidRequest("requires must be a valid semver (e.g. 0.14.0)", hint=f"It is {requires!r} now.")


def checked_parameters(parameters: JSON | None) -> JSON:
    """The parameters as a params layer holds them: nulls and names of old left out, one stop string made a list.

    Raises:
        InvalidRequest: an unknown name, or a value that is not of its option's type: better now than whenever the
            model is used.
    """
    values = {name: v for name, v in (parameters or {}).items() if v is not None and name not in DEPRECATED}
    for name in values:
        if name not in OPTION_KINDS:
            raise unknown_parameter(name)
    if isinstance(values.get("stop"), str):
        values["stop"] = [values["stop"]]
    merge_options(values)
    return values


def _quantize(wanted: str) -> InvalidRequest:
    if wanted.upper() not in QUANTIZATIONS:
        return InvalidRequest(
            f"unsupported quantization type {wanted} - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0",
            hint="This build takes GGUF files as they are: quantize with llama.cpp's llama-quantize first.",
        )
    return InvalidRequest(
        f"this build does not quantize models (quantize: {wanted})",
        hint="Quantize the file with llama.cpp's llama-quantize, then create the model from the result.",
    )
