"""What a create request must get right before anything is made of it (spec §1.9)."""

from __future__ import annotations

import re

from ollama_engine.errors import InvalidRequest
from ollama_engine.modelfile.quantizations import check_quantization
from ollama_engine.options import DEPRECATED, OPTION_KINDS, merge_options, unknown_parameter
from ollama_engine.store import digests
from ollama_engine.types import JSON, CreateRequest

_SEMVER = re.compile(
    r"v?(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){0,2}(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?"
)


def check_request(request: CreateRequest) -> None:
    """Raise InvalidRequest (InvalidDigest) for what can be seen to be wrong without looking at a file."""
    files, adapters = request.files or {}, request.adapters or {}
    for path, digest in [*files.items(), *adapters.items(), *(request.draft_files or {}).items()]:
        check_file_path(path)
        digests.parse(digest)
    if len({str(digests.parse(digest)) for digest in adapters.values()}) < len(adapters):
        raise InvalidRequest(
            "an adapter is named twice", hint="To make it count more, give it a larger PARAMETER adapter_scale."
        )
    if not request.from_ and request.files is None:
        raise InvalidRequest(
            "neither 'from' or 'files' was specified", hint="Give the model to build on, or GGUF files."
        )
    if not request.from_ and not files:
        raise InvalidRequest("no files provided to convert", hint="Give the digest of at least one GGUF file.")
    check_quantize(request)
    check_requires(request.requires)


def check_quantize(request: CreateRequest) -> None:
    if request.draft_quantize and not request.draft_files:
        raise InvalidRequest("--draft-quantize requires a DRAFT model", hint="Name the draft's GGUF file in DRAFT.")
    if request.imatrix:
        digests.parse(request.imatrix)
        if not request.quantize:
            raise InvalidRequest(
                "an importance matrix is of use only to quantize", hint="Say to what: --quantize TYPE."
            )
    if request.quantize:
        check_quantization(request.quantize, imatrix=bool(request.imatrix))
    if request.draft_quantize:
        check_quantization(request.draft_quantize, imatrix=False)


def check_file_path(path: str) -> None:
    """As Go's fs.ValidPath: relative, without empty, `.` or `..` elements."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise InvalidRequest(f"file path must be relative: {path!a}", hint="Name files as weights/model.gguf.")


def check_requires(requires: str) -> None:
    if requires and not _SEMVER.fullmatch(requires):
        raise InvalidRequest("requires must be a valid semver (e.g. 0.14.0)", hint=f"It is {requires!r} now.")


def checked_parameters(parameters: JSON | None) -> JSON:
    """The parameters as a params layer holds them: nulls and names of old left out, what may be several made a list
    where it is one.

    Raises:
        InvalidRequest: an unknown name, or a value that is not of its option's type: better now than whenever the
            model is used.
    """
    values = {name: v for name, v in (parameters or {}).items() if v is not None and name not in DEPRECATED}
    for name in values:
        if name not in OPTION_KINDS:
            raise unknown_parameter(name)
        if OPTION_KINDS[name] in ("array", "names", "numbers") and isinstance(values[name], str | int | float):
            values[name] = [values[name]]
    merge_options(values)
    return values
