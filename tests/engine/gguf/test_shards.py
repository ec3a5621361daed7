"""Several files, one model."""

from __future__ import annotations

from pathlib import Path

import pytest

from ollama_engine.errors import InvalidGGUF
from ollama_engine.gguf import find_shards, merge_shards, model_info, read_header, read_metadata, read_model
from tests.support import gguf_bytes as b
from tests.support.gguf_models import TINY, random_model
from tests.support.gguf_split import split_gguf


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return random_model(tmp_path / "model.gguf", **TINY)


def test_a_sharded_model_is_the_whole_one(whole: Path) -> None:
    shards = split_gguf(whole, 3)
    together = read_model(shards[0])
    assert together.files == tuple(shards)
    assert together.file_size == sum(shard.stat().st_size for shard in shards)
    assert [tensor.name for tensor in together.tensors] == [tensor.name for tensor in read_header(whole).tensors]
    assert read_metadata(shards[0]) == read_metadata(whole)
    assert model_info(together) == model_info(read_header(whole))


def test_any_shard_leads_to_all(whole: Path) -> None:
    shards = split_gguf(whole, 3)
    assert find_shards(shards[2]) == shards
    assert read_model(shards[1]) == read_model(shards[0])


def test_a_model_in_one_file_is_its_only_shard(whole: Path) -> None:
    assert find_shards(whole) == [whole]
    assert read_model(whole) == read_header(whole)
    (single,) = split_gguf(whole, 1)
    assert read_metadata(single) == read_metadata(whole)


def test_a_missing_shard_is_named(whole: Path) -> None:
    shards = split_gguf(whole, 3)
    shards[1].unlink()
    with pytest.raises(InvalidGGUF, match=r"shard 2 of 3 is missing: model-00002-of-00003\.gguf"):
        read_model(shards[0])


@pytest.mark.parametrize("name", ["m-00000-of-00003.gguf", "m-00004-of-00003.gguf", "m-00000-of-00000.gguf"])
def test_an_impossible_shard_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidGGUF, match="no possible shard"):
        find_shards(tmp_path / name)


def test_shards_in_the_wrong_order_are_refused(whole: Path) -> None:
    shards = split_gguf(whole, 2)
    other = whole.with_name("swapped.gguf")
    shards[0].rename(other)
    shards[1].rename(shards[0])
    other.rename(shards[1])
    with pytest.raises(InvalidGGUF, match=r"model-00001-of-00002\.gguf is shard 2 of 2, not 1 of 2"):
        read_model(shards[0])


def test_a_shard_under_another_name_is_refused(whole: Path) -> None:
    shards = split_gguf(whole, 2)
    renamed = shards[0].rename(whole.with_name("renamed.gguf"))
    with pytest.raises(InvalidGGUF, match=r"renamed\.gguf is shard 1 of 2, not 1 of 1"):
        read_model(renamed)


def test_a_whole_model_named_like_a_shard_is_refused(whole: Path) -> None:
    shards = split_gguf(whole, 2)
    whole.rename(shards[1])
    with pytest.raises(InvalidGGUF, match=r"model-00002-of-00002\.gguf does not say which shard it is"):
        read_model(shards[0])


def test_shards_of_two_models_are_refused(whole: Path, tmp_path: Path) -> None:
    mine = split_gguf(whole, 2)
    theirs = split_gguf(random_model(tmp_path / "larger.gguf", **{**TINY, "n_layer": 3}), 2)
    with pytest.raises(InvalidGGUF, match=r"tensors together, split\.tensors\.count says 20"):
        merge_shards([read_header(mine[0]), read_header(theirs[1])])


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    paths = [tmp_path / f"twice-{number}-of-00002.gguf" for number in ("00001", "00002")]
    for number, path in enumerate(paths):
        said = [b.number("split.no", number), b.number("split.count", 2)]
        path.write_bytes(b.gguf(said, [b.tensor("same")], data=128))
    with pytest.raises(InvalidGGUF, match="a tensor appears in two shards"):
        read_model(paths[0])


def test_shards_may_lie_under_other_names_when_the_caller_knows_their_order(whole: Path) -> None:
    shards = split_gguf(whole, 3)
    blobs = [shard.rename(shard.with_name(f"sha256-{number}")) for number, shard in enumerate(shards)]
    merged = merge_shards([read_header(blob) for blob in blobs])
    assert merged.files == tuple(blobs)
    assert len(merged.tensors) == 20
