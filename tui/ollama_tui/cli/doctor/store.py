"""Can models be read and written, is there room, and is each of them whole?"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ollama_engine.store.store import Store
from ollama_tui.cli.doctor.finding import Finding, note, ok, wrong
from ollama_tui.format import plain, size

LITTLE_ROOM = 2 * 10**9
"""Bytes: less than the smallest useful model."""
_NAMED = 5
"""How many are named where many are wrong."""


def check_folder(root: Path) -> Finding:
    """The folder of models, or the nearest one above it, can be used."""
    if not root.exists():
        above = next(folder for folder in root.absolute().parents if folder.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            return wrong(
                "store", f"{root} does not exist and cannot be made in {above}", f"sudo install -d -o $USER {root}"
            )
        return ok("store", f"{root} does not exist yet; the first model makes it")
    if not root.is_dir():
        return wrong("store", f"{root} is not a folder", "ollama-tui config set models FOLDER")
    if not os.access(root, os.R_OK | os.X_OK):
        return wrong("store", f"{root} cannot be read", f"sudo chown -R $USER {root}")
    if not os.access(root, os.W_OK):
        return wrong(
            "store",
            f"{root} can be read, and not written: models can run, none can be pulled",
            f"sudo chown -R $USER {root}",
        )
    if root.stat().st_mode & stat.S_IWOTH and not root.stat().st_mode & stat.S_ISVTX:
        return wrong("store", f"anybody may write to {root}", f"chmod o-w {root}")
    return ok("store", f"{root} can be read and written")


def check_foreign_files(root: Path, user: int | None = None) -> Finding | None:
    """Blobs and manifests of another user's (Ollama's service, sudo) that this one cannot read."""
    user = os.geteuid() if user is None else user
    unreadable = [
        path
        for folder in (root / "blobs", root / "manifests")
        for path in _files(folder)
        if not os.access(path, os.R_OK)
    ]
    if not unreadable or user == 0:
        return None
    return wrong("store", f"{_some(unreadable)} cannot be read", f"sudo chmod -R a+rX {root}")


def check_room(free: int) -> Finding:
    if free < LITTLE_ROOM:
        return wrong(
            "disk", f"{size(free)} are free where the models lie", "ollama-tui prune --yes; ollama-tui rm MODEL"
        )
    return ok("disk", f"{size(free)} are free where the models lie")


def check_manifests(store: Store) -> Finding | None:
    broken = store.unreadable()
    if not broken:
        return None
    return wrong(
        "models",
        f"{_some(broken)} cannot be read",
        f"ollama-tui rm {plain(broken[0])}; ollama-tui pull {plain(broken[0])}",
    )


def check_blobs(store: Store) -> Finding:
    """Every layer is there and as long as its manifest says. Nothing is hashed: that takes minutes."""
    entries = store.list()
    for entry in entries:
        for layer in entry.manifest.blobs():
            name = entry.name.display
            found = store.blobs.size(layer.digest)
            if found == layer.size:
                continue
            what = "is missing" if found is None else f"has {found} bytes, not {layer.size}"
            return wrong("models", f"{layer.digest} of {plain(name)} {what}", f"ollama-tui pull {plain(name)}")
    return ok(
        "models",
        f"{len(entries)} {'model' if len(entries) == 1 else 'models'}, {size(sum(e.size for e in entries))}, all there",
    )


def check_partials(store: Store) -> Finding | None:
    report = store.prune(older_than=0, dry_run=True, partials=True)
    if not report.removed:
        return None
    count, freed = len(report.removed), size(report.freed)
    files = "1 file" if count == 1 else f"{count} files"
    message = f"{files} that no model uses, unfinished downloads among them, {freed}"
    return note("models", message, "ollama-tui prune --partials")


def _files(folder: Path) -> list[Path]:
    return [Path(where, name) for where, _, names in os.walk(folder) for name in names]


def _some(things: list[str] | list[Path]) -> str:
    named = ", ".join(plain(str(thing)) for thing in things[:_NAMED])
    return f"{named} and {len(things) - _NAMED} more" if len(things) > _NAMED else named
