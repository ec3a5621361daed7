"""Cuts a GGUF model into shards (`-00001-of-0000N.gguf`) as llama.cpp loads them."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter


def split_gguf(path: Path, shards: int) -> list[Path]:
    """Write the model at `path` as `shards` files beside it, first one first; the original stays.

    The first has all metadata; each has `split.no`, `split.count`, `split.tensors.count` (of the whole).
    """
    reader = GGUFReader(path)
    if not 1 <= shards <= len(reader.tensors):
        raise ValueError(f"{path.name} has {len(reader.tensors)} tensors, which do not make {shards} shards")
    bounds = [len(reader.tensors) * number // shards for number in range(shards + 1)]
    paths: list[Path] = []
    for number in range(shards):
        shard = path.with_name(f"{path.stem}-{number + 1:05d}-of-{shards:05d}.gguf")
        writer = GGUFWriter(shard, reader.fields["general.architecture"].contents())
        if number == 0:
            _copy_metadata(reader, writer)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", shards)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in reader.tensors[bounds[number] : bounds[number + 1]]:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(shard)
    return paths


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter) -> None:
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_array(field.name, field.contents())
        else:
            writer.add_key_value(field.name, field.contents(), field.types[0])
