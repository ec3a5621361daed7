"""Bodies that come compressed with zstd, which some clients of /v1/responses send (spec §2.6), within bounds."""

from __future__ import annotations

import zstandard

from ollama_engine.errors import InvalidRequest, TooLarge

MAX_WINDOW = 8 * 1024 * 1024
MAX_UNPACKED = 20 * 1024 * 1024
"""Bytes. A few kB of zstd can stand for as many GB: what is unpacked has a limit, not what is sent."""


class UnsupportedEncoding(InvalidRequest):
    status = 415


def unpack(body: bytes | bytearray, encoding: str) -> bytes | bytearray:
    """`body` without its Content-Encoding.

    Raises:
        InvalidRequest: it is not what the header says, would be too large, or the encoding is another one.
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "zstd":
        raise UnsupportedEncoding(f"content encoding {encoding!r} is not supported", hint="Send it plain, or as zstd.")
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    try:
        with unpacker.stream_reader(bytes(body)) as reader:
            plain = reader.read(MAX_UNPACKED + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise InvalidRequest(f"the body is no zstd that can be read here: {error}") from error
    if len(plain) > MAX_UNPACKED:
        raise TooLarge("request body too large", hint=f"At most {MAX_UNPACKED // 2**20} MiB when unpacked.")
    return plain
