"""Reading small answers: bounded, whatever their headers say (spec §14, CVE-2024-12886)."""

from __future__ import annotations

import httpx

from ollama_engine.registry.errors import RegistryError, Transient

MAX_ERROR_BODY = 4096


async def read_body(response: httpx.Response, limit: int, what: str) -> bytes:
    """The whole body, decompressed, and close; RegistryError beyond `limit` bytes, Transient when it breaks off."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                raise RegistryError(f"{what} is larger than {limit} bytes")
    except httpx.DecodingError as error:
        raise RegistryError(f"{what} cannot be decompressed: {error}") from error
    except httpx.TransportError as error:
        raise Transient(f"{what} broke off: {error or type(error).__name__}") from error
    finally:
        await response.aclose()
    return bytes(body)


async def error_text(response: httpx.Response) -> str:
    """The beginning of an error's body on one line, printable; empty where it cannot be read."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= MAX_ERROR_BODY:
                break
    except httpx.HTTPError:
        body.clear()
    finally:
        await response.aclose()
    text = " ".join(body[:MAX_ERROR_BODY].decode(errors="replace").split())[:300]
    return "".join(character if character.isprintable() else "?" for character in text)
