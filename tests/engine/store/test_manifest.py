"""Manifests and configs are read with tolerance and bounds, and written byte for byte as Ollama writes them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_engine.errors import StoreError
from ollama_engine.store import Config, Layer, Manifest
from ollama_engine.store import manifest as media
from ollama_engine.store.manifest import decode_config, decode_manifest, encode_config, encode_manifest

D1, D2 = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def test_a_manifest_is_written_as_gos_encoder_writes_it() -> None:
    manifest = Manifest(
        config=Layer(media_type=media.CONFIG_TYPE, digest=D1, size=5),
        layers=[Layer(media_type=media.MODEL, digest=D2, size=7, from_="<a&b>\u2028")],
    )
    written = encode_manifest(manifest)
    assert written == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
        b'"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"' + D1.encode() + b'",'
        b'"size":5},"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"' + D2.encode() + b'",'
        b'"size":7,"from":"\\u003ca\\u0026b\\u003e\\u2028"}]}\n'
    )
    assert decode_manifest(written) == manifest
    assert manifest.size == 12


def test_a_config_is_written_with_the_keys_ollama_always_writes() -> None:
    written = encode_config(Config(model_format="gguf", model_family="llama", model_families=["llama"], requires="0.1"))
    assert written == (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":"","file_type":"",'
        b'"requires":"0.1","architecture":"amd64","os":"linux"}\n'
    )


def test_unknown_keys_nulls_and_absent_keys_are_tolerated() -> None:
    manifest = decode_manifest(
        json.dumps(
            {
                "annotations": {"x": 1},
                "mediaType": None,
                "config": {"mediaType": "c", "digest": D1, "size": 1, "urls": []},
                "layers": None,
            }
        ).encode()
    )
    assert (manifest.schema_version, manifest.media_type, manifest.layers) == (2, media.MANIFEST_TYPE, [])
    config = decode_config(b'{"model_family":null,"model_families":null,"rootfs":{"type":"layers"},"future":[1]}')
    assert (config.model_family, config.model_families, config.rootfs) == ("", None, {"type": "layers"})


def test_a_digest_with_a_dash_is_read_as_the_same_digest() -> None:
    data = encode_manifest(Manifest(config=Layer(media_type="c", digest=D1.replace(":", "-"), size=1)))
    assert decode_manifest(data).config.digest == D1


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"schemaVersion":2,', "broken"),
        (b"[]", "broken"),
        (b"\xff\xfe", "broken"),
        (b"[" * 100_000, "broken"),
        (b"{}", "config"),
        (b'{"config":{"mediaType":"c","digest":"sha256:../../x","size":1}}', "invalid digest"),
        (b'{"config":{"mediaType":"c","digest":"","size":1}}', "invalid digest"),
        (b'{"config":{"mediaType":"c","digest":"%s","size":-1}}' % D1.encode(), "size"),
        (b'{"config":{"mediaType":"c","digest":"%s","size":9223372036854775808}}' % D1.encode(), "size"),
        (b" " * (4 << 20) + b"{}", "larger than"),
    ],
)
def test_what_is_no_manifest_is_a_store_error_that_names_the_fault(data: bytes, fault: str) -> None:
    with pytest.raises(StoreError, match=fault):
        decode_manifest(data)


@given(
    st.one_of(
        st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
    )
)
def test_no_bytes_give_anything_but_a_manifest_or_a_store_error(data: bytes) -> None:
    for decode in (decode_manifest, decode_config):
        try:
            decode(data)
        except StoreError:
            continue


@given(st.text(), st.lists(st.tuples(st.text(), st.integers(0, 2**63 - 1), st.text(), st.text()), max_size=4))
def test_every_manifest_survives_being_written_and_read(kind: str, rows: list[tuple[str, int, str, str]]) -> None:
    manifest = Manifest(
        config=Layer(media_type=kind, digest=D1, size=0),
        layers=[Layer(media_type=t, digest=D2, size=size, from_=f, name=name) for t, size, f, name in rows],
    )
    assert decode_manifest(encode_manifest(manifest)) == manifest
