"""Images as the dialects send them, to the base64 that Ollama's API takes."""

from __future__ import annotations

import re

from ollama_engine.errors import InvalidRequest
from ollama_engine.server.decode import check_base64

_DATA_URI = re.compile(r"data:(image/(?:jpeg|jpg|png|webp|gif))?;base64,", re.IGNORECASE)


def image_of_url(url: str) -> str:
    """The base64 of a data URI. InvalidRequest for any other: the server fetches nothing from elsewhere (spec §2.2)."""
    if url.startswith(("http://", "https://")):
        raise InvalidRequest("image URLs are not currently supported, please use base64 encoded data instead")
    match = _DATA_URI.match(url)
    if match is None:
        raise InvalidRequest("invalid image input", hint="Send it as data:image/png;base64,...; JPEG and WebP do, too.")
    return checked_base64(url[match.end() :])


def checked_base64(data: str) -> str:
    """`data`, if it is standard base64; else InvalidRequest."""
    check_base64(data)
    return data
