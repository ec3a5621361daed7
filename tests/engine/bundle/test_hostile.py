"""Bundles that were cut, damaged or made to do harm: one clear error, and the store is as it was."""

from __future__ import annotations

import io
import os
import struct
import tarfile
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollama_engine.bundle import InvalidBundle, load
from ollama_engine.bundle.members import MAX_MEMBERS
from ollama_engine.errors import DigestMismatch, EngineError, StoreError
from ollama_engine.store import Manifest, Store
from ollama_engine.store import manifest as media
from tests.engine.bundle.conftest import WEIGHTS, Bundle, files_of, loaded, make, saved

Harm = Callable[[Bundle], None]


def member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "") -> Harm:
    def harm(bundle: Bundle) -> None:
        bundle.add(name, kind=kind)
        bundle.members[-1][0].linkname = linkname

    return harm


def names(*named: str) -> Harm:
    def harm(bundle: Bundle) -> None:
        manifest = bundle.add_model(b"hostile")
        bundle.add_index(*((name, manifest) for name in named))

    return harm


def twice(bundle: Bundle) -> None:
    bundle.add_blob(b"twice")
    bundle.add_blob(b"twice")


def wrong_digest(bundle: Bundle) -> None:
    bundle.add(f"blobs/sha256/{'a' * 64}", b"not what it says")


def absent_layer(bundle: Bundle) -> None:
    layer = media.Layer(media_type=media.MODEL, digest=f"sha256:{'b' * 64}", size=7)
    config = bundle.add_blob(b"{}")
    bundle.add_index(("x", bundle.add_blob(media.encode_manifest(Manifest(config=config, layers=[layer])))))


def absent_manifest(bundle: Bundle) -> None:
    bundle.add_index(("x", media.Layer(media_type="", digest=f"sha256:{'c' * 64}", size=7)))


def lying_layer(bundle: Bundle) -> None:
    layer = msgspec.structs.replace(bundle.add_blob(b"hostile"), size=8)
    bundle.add_index(("x", bundle.add_blob(media.encode_manifest(Manifest(config=layer, layers=[])))))


def lying_index(bundle: Bundle) -> None:
    bundle.add_index(("x", msgspec.structs.replace(bundle.add_model(b"hostile"), size=9)))


def not_a_manifest(bundle: Bundle) -> None:
    bundle.add_index(("x", bundle.add_blob(b"[" * 5000)))


def manifest_bomb(bundle: Bundle) -> None:
    bundle.add_index(("x", bundle.add_blob(b" " * (media.MAX_MANIFEST + 1))))


def many_models(bundle: Bundle) -> None:
    manifest = bundle.add_model(b"hostile")
    bundle.add_index(*((f"m{number}", manifest) for number in range(1001)))


def index_of_indexes(bundle: Bundle) -> None:
    bundle.add("index.json", b'{"schemaVersion":2,"manifests":[{"mediaType":"x/index","digest":"sha256:aa","size":3}]}')


def traversing_digest(bundle: Bundle) -> None:
    bundle.add_index(("x", media.Layer(media_type="", digest="sha256:../../../../etc/passwd", size=7)))


def sparse(bundle: Bundle) -> None:
    bundle.add_blob(b"sparse")
    bundle.members[-1][0].pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}


def renamed_by_header(bundle: Bundle) -> None:
    bundle.add(f"blobs/sha256/{'d' * 64}", b"x")
    bundle.members[-1][0].pax_headers = {"path": "../../evil"}


def long_header(bundle: Bundle) -> None:
    bundle.add_blob(b"long")
    bundle.members[-1][0].pax_headers = {"comment": "x" * 70_000}


HOSTILE: dict[str, tuple[Harm, str]] = {
    "traversal": (member("../../evil"), "has no place"),
    "traversal in blobs": (member("blobs/sha256/../../evil"), "has no place"),
    "absolute": (member("/etc/cron.d/evil"), "has no place"),
    "traversing folder": (member("../evil", tarfile.DIRTYPE), "has no place"),
    "name by extended header": (renamed_by_header, "has no place"),
    "control characters": (member("\x1b[2J"), "has no place"),
    "symbolic link": (member(f"blobs/sha256/{'e' * 64}", tarfile.SYMTYPE, "/etc/passwd"), "no plain file"),
    "hard link": (member(f"blobs/sha256/{'e' * 64}", tarfile.LNKTYPE, "/etc/passwd"), "no plain file"),
    "device": (member(f"blobs/sha256/{'e' * 64}", tarfile.CHRTYPE), "no plain file"),
    "fifo": (member("index.json", tarfile.FIFOTYPE), "no plain file"),
    "gnu sparse": (member(f"blobs/sha256/{'e' * 64}", tarfile.GNUTYPE_SPARSE), "no plain file"),
    "gnu long name": (member("x", tarfile.GNUTYPE_LONGNAME), "no plain file"),
    "sparse": (sparse, "sparse file"),
    "long header": (long_header, "too long"),
    "twice": (twice, "comes twice"),
    "wrong digest": (wrong_digest, "not what its name says"),
    "absent layer": (absent_layer, "is not in the bundle"),
    "absent manifest": (absent_manifest, "manifest of 'x:latest' is not in the bundle"),
    "lying layer": (lying_layer, "its manifest says 8"),
    "lying index": (lying_index, "not what the bundle's index says"),
    "not a manifest": (not_a_manifest, "cannot be read"),
    "manifest bomb": (manifest_bomb, "of 4194304 at most"),
    "many models": (many_models, "more than 1000 models"),
    "index of indexes": (index_of_indexes, "which is no model"),
    "traversing digest": (traversing_digest, "invalid digest"),
    "no name": (names(""), "does not say what its model is called"),
    "traversing name": (names("../../../evil"), "cannot be called so"),
    "not a name": (names("a b"), "cannot be called so"),
    "one name twice": (names("story", "Story:latest"), "two models called"),
    "one good name and a bad one": (names("good", "b@d"), "cannot be called so"),
    "empty index": (lambda bundle: bundle.add_index(), "holds no model"),
    "no index": (lambda bundle: None, "no index.json"),
    "broken index": (lambda bundle: bundle.add("index.json", b"{"), "index.json is broken"),
    "index in a large file": (lambda bundle: bundle.add("index.json", b" " * (5 << 20)), "larger than"),
    "unknown layout": (lambda bundle: bundle.members.clear() or bundle.add("oci-layout", b'{"imageLayoutVersion":"9"}'),
                       "layout version"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_bundle_is_one_error_and_an_untouched_store(case: str, store: Store) -> None:
    make(store, "mine")
    before = files_of(store)
    harm, message = HOSTILE[case]
    bundle = Bundle()
    bundle.add_layout()
    bundle.add_blob(b"an innocent blob")
    harm(bundle)
    with pytest.raises(EngineError, match=message) as error:
        loaded(store, bundle.bytes())
    assert error.value.status in (400, 507)
    assert error.value.hint
    assert "\x1b" not in str(error.value)
    assert files_of(store) == before


def test_a_size_that_no_disk_has_is_refused_before_a_byte_is_written(store: Store) -> None:
    bundle = Bundle()
    bundle.add_layout()
    bundle.add(f"blobs/sha256/{'f' * 64}", b"", size=(1 << 62))
    with pytest.raises(StoreError, match="no room for blob"):
        loaded(store, bundle.bytes())


def test_a_negative_size_is_refused(store: Store) -> None:
    header = bytearray(tarfile.TarInfo(f"blobs/sha256/{'f' * 64}").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 4 + struct.pack(">q", -512)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(InvalidBundle, match="negative size"):
        loaded(store, bytes(header) + bytes(1024))


def test_members_without_end_are_refused(store: Store) -> None:
    def endless() -> Iterator[bytes]:
        for number in range(MAX_MEMBERS + 2):
            info = tarfile.TarInfo(f"blobs/sha256/{number:064x}")
            yield info.tobuf(tarfile.USTAR_FORMAT)

    from ollama_engine.bundle.members import members

    file = io.BufferedReader(io.BytesIO(b"".join(endless())))  # type: ignore[arg-type]
    with pytest.raises(InvalidBundle, match=f"more than {MAX_MEMBERS} files"):
        for _ in members(file):
            pass


def test_a_bundle_cut_anywhere_leaves_nothing(store: Store, other: Store) -> None:
    make(store, "story")
    data = saved(store, "story")
    make(other, "mine", weights=b"mine")
    before = files_of(other)
    for length in (*range(0, len(data) - 1024, 65_537), len(data) - 1024):
        with pytest.raises(InvalidBundle, match=r"cut off|no bytes came"):
            loaded(other, data[:length])
        assert files_of(other) == before


def test_a_byte_that_was_changed_is_seen(store: Store, other: Store) -> None:
    make(store, "story")
    data = bytearray(saved(store, "story"))
    data[data.index(WEIGHTS[:1000]) + 1_000_000] ^= 1
    with pytest.raises(DigestMismatch, match="not what its name says"):
        loaded(other, bytes(data))
    assert files_of(other) == {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_to_a_bundle_does_harm(store: Store, other: Store, data: st.DataObject) -> None:
    """Whatever bytes are written over it: the models of the bundle, or an error; never anything else."""
    make(store, "story", weights=b"w" * 600)
    bundle = bytearray(saved(store, "story"))
    good = files_of(store)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(bundle) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=40))
        bundle[place : place + len(patch)] = patch
    try:
        result = loaded(other, bytes(bundle))
    except EngineError:
        assert files_of(other) == {}
        return
    assert {path for path in files_of(other) if path.startswith("blobs")} <= set(good)
    for one in result:
        other.delete(one.name)
    assert files_of(other) == {}


def test_a_load_that_is_given_up_leaves_nothing(store: Store, other: Store) -> None:
    make(store, "story", weights=os.urandom(40 << 20))
    file = io.BufferedReader(io.BytesIO(saved(store, "story")))  # type: ignore[arg-type]
    steps = load(other, file)
    for step in steps:
        if getattr(step, "total", 0) > 1 << 20:
            break
    steps.close()
    assert files_of(other) == {}


def test_a_blob_that_another_model_uses_by_then_stays(store: Store, other: Store) -> None:
    """Two processes: what a failed load brought, and a create took up meanwhile, is not taken away from it."""
    bundle = Bundle()
    bundle.add_layout()
    shared = bundle.add_blob(b"shared weights")
    bundle.add("evil")
    steps = load(other, io.BufferedReader(io.BytesIO(bundle.bytes())))  # type: ignore[arg-type]
    next(steps)
    make(other, "quick", weights=b"shared weights")
    with pytest.raises(InvalidBundle, match="has no place"):
        for _ in steps:
            pass
    assert other.blobs.exists(shared.digest)


def test_what_is_no_tar_file_says_so(other: Store) -> None:
    with pytest.raises(InvalidBundle, match="no tar file"):
        loaded(other, b"GGUF" + bytes(5000))
    with pytest.raises(InvalidBundle, match="compression is broken"):
        loaded(other, b"\x1f\x8b" + b"x" * 5000)
