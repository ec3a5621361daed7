"""Pulls and pushes: requests, steps, the queue, and updates."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Progress(Struct, omit_defaults=True):
    """A step of something long (create, pull, push); the last one has status `success`."""

    status: str = ""
    digest: str = ""
    total: int = 0
    completed: int = 0


class PullRequest(Struct, omit_defaults=True):
    """A model to bring from its registry. `insecure`: over plain http."""

    model: str
    insecure: bool = False
    stream: bool | None = None


class PushRequest(Struct, omit_defaults=True):
    """A model to send to the registry that its name says. `insecure`: over plain http."""

    model: str
    insecure: bool = False
    stream: bool | None = None


class TransferProgress(Progress, omit_defaults=True):
    """A step of a pull or push. What follows is ours, and of the whole transfer."""

    rate: float = 0.0
    """Bytes a second over the last few seconds; 0 while unknown."""
    eta: float = 0.0
    """Seconds left at that rate; 0 while unknown."""


class Update(Struct, frozen=True, omit_defaults=True):
    """What its registry has for a model. `local` and `remote` are manifest digests, bare hex.

    `absent`: the registry has no such model (it was made here, or is gone); `unknown`: it could not be asked,
    `reason` says why.
    """

    name: str
    state: Literal["current", "newer", "absent", "unknown"]
    local: str
    remote: str = ""
    reason: str = ""


class UpdatesRequest(Struct, omit_defaults=True):
    """Which models to ask registries about; all of the store where `models` is None. `insecure`: over plain http."""

    models: list[str] | None = None
    insecure: bool = False


class TransferLimits(Struct, frozen=True, omit_defaults=True):
    """What pulls may take: `bandwidth` in bytes a second for all of them together (and as much for pushes), 0 for no
    limit; `free` bytes of the disk that the models lie on."""

    bandwidth: int = 0
    free: int = 0


class PullLayer(Struct, frozen=True, omit_defaults=True):
    """A blob of a pull, by its digest, or by what stands for the digest of a file of the web until it is here."""

    digest: str
    total: int = 0
    completed: int = 0


class PullView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pull of the queue as it is now. Bytes of all its blobs; `rate` in bytes a second, `eta` in seconds.

    A pull that a full disk stopped is `paused`, with the `error`; one that is `elsewhere` is run by another process.
    """

    id: str
    name: str
    state: Literal["queued", "running", "paused", "failed", "done", "elsewhere"]
    status: str = ""
    total: int = 0
    completed: int = 0
    rate: float = 0.0
    eta: float = 0.0
    error: str = ""
    hint: str = ""
    layers: list[PullLayer] = []
    """Its blobs, as far as they are known: none before it has run once."""
