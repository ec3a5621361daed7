"""Every error the engine raises on purpose.

    EngineError                 500
    ├── InvalidRequest          400  the caller must change something
    │   ├── InvalidName         400  not a model name
    │   ├── InvalidDigest       400  not sha256:<64 hex>
    │   ├── DigestMismatch      400  the bytes are not what the digest says
    │   ├── InvalidGGUF         400  not a GGUF file, or a broken one
    │   ├── ModelfileError      400  a Modelfile line that does not compile
    │   ├── TemplateError       400  a chat template that does not parse or run
    │   ├── PromptTooLong       400  more prompt than context
    │   └── TooLarge            413  more bytes, images or values than are taken
    ├── Unauthorized            401  a key is asked for
    ├── Forbidden               403  the key is not for this
    ├── NotFound                404
    │   └── ModelNotFound       404
    ├── NotSupported            501  the server at the other end cannot do this
    ├── RequestCanceled         499  the caller went away, or the request was cancelled
    ├── RunnerError             500  llama.cpp could not do it
    │   ├── LoadFailed          500  the model did not load
    │   └── RunnerDied          500  the runner process ended under the request
    ├── ServerUnreachable       502  no server answers at the other end
    ├── Busy                    503  queue full or shutting down; try again after `retry_after` seconds
    └── StoreError              507  the disk is full, or the store cannot be read or written

The message names the thing that is wrong; `hint` says what to do about it. A face of the engine (HTTP, command
line, terminal) shows both and never a traceback.
"""

from __future__ import annotations

from pathlib import Path


class EngineError(Exception):
    """Base of all errors above.

    Args:
        message: one sentence that names the thing that is wrong.
        hint: what to do about it, as one sentence or a command line.
        path: the file that the message names, where a caller may be told its name and not its place
            (server/discretion.py).
    """

    status: int = 500
    path: Path | None = None

    def __init__(self, message: str, *, hint: str = "", path: Path | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path

    def __str__(self) -> str:
        return self.message


class InvalidRequest(EngineError):
    status = 400


class InvalidName(InvalidRequest):
    pass


class InvalidDigest(InvalidRequest):
    pass


class DigestMismatch(InvalidRequest):
    pass


class InvalidGGUF(InvalidRequest):
    pass


class ModelfileError(InvalidRequest):
    """A Modelfile that does not parse; `line` is 1-based, 0 where no single line is to blame."""

    def __init__(self, message: str, *, line: int = 0, hint: str = "") -> None:
        super().__init__(f"(line {line}): {message}" if line else message, hint=hint)
        self.line = line


class TemplateError(InvalidRequest):
    pass


class PromptTooLong(InvalidRequest):
    pass


class TooLarge(InvalidRequest):
    status = 413


class Unauthorized(EngineError):
    status = 401


class Forbidden(EngineError):
    status = 403


class NotFound(EngineError):
    status = 404


class ModelNotFound(NotFound):
    """No such model in the store; `name` is the name as the caller wrote it."""

    def __init__(self, name: str, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or f"model '{name}' not found", hint=hint)
        self.name = name


class NotSupported(EngineError):
    status = 501


class RequestCanceled(EngineError):
    status = 499

    def __init__(self, message: str = "request canceled", *, hint: str = "") -> None:
        super().__init__(message, hint=hint)


class RunnerError(EngineError):
    status = 500


class LoadFailed(RunnerError):
    """A model that did not load; `out_of_memory` tells whether that was for lack of memory, and not for its file."""

    def __init__(self, message: str, *, hint: str = "", out_of_memory: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.out_of_memory = out_of_memory


class RunnerDied(RunnerError):
    pass


class ServerUnreachable(EngineError):
    status = 502


class Busy(EngineError):
    status = 503

    def __init__(self, message: str, *, hint: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class StoreError(EngineError):
    status = 507


def from_status(status: int, message: str, *, hint: str = "", path: Path | None = None) -> EngineError:
    """The error that an HTTP answer of `status` stands for (RemoteEngine turns answers back into errors)."""
    kinds: dict[int, type[EngineError]] = {
        400: InvalidRequest,
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        413: TooLarge,
        499: RequestCanceled,
        501: NotSupported,
        502: ServerUnreachable,
        503: Busy,
        507: StoreError,
    }
    error = kinds.get(status, EngineError)(message, hint=hint)
    error.status = status
    error.path = path
    return error
