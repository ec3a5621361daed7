"""What a registry can do wrong, beyond the engine's own errors.

    EngineError
    ├── RegistryError        502  the registry's answer is not what the protocol allows
    │   ├── UnsafeRedirect   502  it sent us where we will not go
    │   └── SourceChanged    502  a file without a digest became another one meanwhile
    └── AccessDenied         401  it wants credentials that we do not have, or refuses those we have

Where the registry cannot be reached, or keeps failing, that is ServerUnreachable; a digest that does not match is
DigestMismatch; a disk that is full is StoreError; a model that it does not have is NotFound.
"""

from __future__ import annotations

from ollama_engine.errors import EngineError, InvalidRequest


class RegistryError(EngineError):
    status = 502


class UnsafeRedirect(RegistryError):
    pass


class SourceChanged(RegistryError):
    pass


class AccessDenied(EngineError):
    status = 401


class Transient(Exception):
    """Worth trying again; never leaves this package.

    Args:
        reason: what happened, as the end of a sentence ("the connection broke").
        wait: seconds the registry asked us to wait (Retry-After).
        counts: whether too many of this kind end the transfer.
    """

    def __init__(self, reason: str, *, wait: float | None = None, counts: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.counts = counts


class Unconnected(Transient):
    """No connection could be made at all: no network, no such host, or nobody listens there."""


def first_cause(errors: BaseExceptionGroup) -> BaseException:
    """The one error to tell of when several tasks of one transfer failed: what stops it is one thing.

    A full disk or a registry that cannot be reached before wrong bytes, which may be only their effect.
    """
    flat = [first_cause(error) if isinstance(error, BaseExceptionGroup) else error for error in errors.exceptions]
    known = [error for error in flat if isinstance(error, EngineError)]
    return next((error for error in known if not isinstance(error, InvalidRequest)), (known or flat)[0])
