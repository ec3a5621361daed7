"""Files that strangers send, made safe to look at: pictures to pixels, sound files checked for what they claim.

Used by media.py in the runner's media thread. Pillow decodes the pictures: it is held to four formats, to one frame and
to a number of pixels, and is imported when the first one comes. Sound is decoded by the library that will hear it
(mtmd.py), which believes the lengths that a file claims; so these are checked here.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

MAX_FILE = 100 * 1024 * 1024
"""Bytes of a file (Ollama's own limit, spec §3)."""
MAX_PIXELS = 64_000_000
MAX_RATIO = 200
"""Of the longer side to the shorter; the preprocessors of several models cannot divide anything longer into patches."""
MAX_SECONDS = 30 * 60
MIN_SECONDS = 0.1
"""Less holds no sound, and some preprocessors no window."""
MAX_TRIES = 1_000_000
"""Places in a file that are looked at for the next MP3 frame, where it is not behind the last one."""

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
_WAV_CODECS = {1: "PCM", 3: "float", 6: "A-law", 7: "µ-law", 0xFFFE: "extensible"}
_UNKNOWN_SIZE = (0, 0xFFFFFFFF)
"""What a program writes into a WAV that it does not know the length of yet, because it writes into a pipe."""


class MediaError(Exception):
    """The file is not what it should be; the message goes on from "image 1: "."""


@dataclass(frozen=True)
class Pixels:
    """RGB, three bytes a pixel, row by row."""

    width: int
    height: int
    data: bytes


def is_sound(data: bytes) -> bool:
    """Whether the first bytes are a sound file's; everything else is taken for a picture."""
    return (
        (data[:4] == b"RIFF" and data[8:12] == b"WAVE")
        or data[:4] == b"fLaC"
        or data[:3] == b"ID3"
        or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0)
    )


def read_picture(data: bytes) -> Pixels:
    """The first frame, upright as its EXIF says, what is transparent on white; MediaError where it does not decode."""
    from PIL import Image, ImageOps

    _check_size(data)
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as picture:
            _check_dimensions(*picture.size)
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            rgb = _flat(upright)
            return Pixels(rgb.width, rgb.height, rgb.tobytes())
    except MediaError:
        raise
    except Image.DecompressionBombError:
        raise MediaError(_too_many_pixels()) from None
    except Image.UnidentifiedImageError:
        raise MediaError("it is no PNG, JPEG, WebP or GIF picture") from None
    except Exception as error:  # whatever a stranger's file does to a decoder is the file's fault
        raise MediaError(f"it does not decode: {str(error) or type(error).__name__}") from error


def _check_size(data: bytes) -> None:
    if not data:
        raise MediaError("it is empty")
    if len(data) > MAX_FILE:
        raise MediaError(f"it has {len(data):,} bytes; the limit is {MAX_FILE:,}")


def _check_dimensions(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise MediaError(f"it has no pixels ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise MediaError(_too_many_pixels(f"it has {width} x {height} pixels"))
    if max(width, height) > MAX_RATIO * min(width, height):
        raise MediaError(f"it is {width} x {height} pixels; one side may be {MAX_RATIO} times the other at most")


def _too_many_pixels(what: str = "it has too many pixels") -> str:
    return f"{what}; the limit is {MAX_PIXELS // 1_000_000} million"


def _flat(picture: Any) -> Any:
    """As RGB, drawn on white where it is transparent (as a picture viewer shows it)."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16 bits a pixel, which convert() would clip
        picture = picture.point(lambda value: value * (1 / 256), "L") if picture.mode == "I" else _from_16_bits(picture)
    if "A" in picture.getbands() or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        flat = Image.new("RGB", layer.size, (255, 255, 255))
        flat.paste(layer, mask=layer.getchannel("A"))
        return flat
    return picture.convert("RGB")


def _from_16_bits(picture: Any) -> Any:
    import numpy as np
    from PIL import Image

    return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8), "L")


def check_sound(data: bytes) -> bytes:
    """A sound file whose decoder can be let loose on it: no codec but the known ones, no length but what is there.

    MediaError where it is none, or holds more than MAX_SECONDS.
    """
    _check_size(data)
    try:
        if data[:4] == b"RIFF":
            return _check_wav(data)
        if data[:4] == b"fLaC":
            return _check_flac(data)
        return _check_mp3(data)
    except (struct.error, IndexError):
        raise MediaError("the sound file is cut off") from None


def _check_wav(data: bytes) -> bytes:
    """The same samples behind a header of our own, which claims no more than there are."""
    form, at = b"", 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if kind == b"fmt ":
            form = data[at : at + min(size, 40)]
        elif kind == b"data":
            left = len(data) - at
            samples = data[at : at + (left if size in _UNKNOWN_SIZE else min(size, left))]
            return _wav(form, samples)
        at += size + size % 2
    raise MediaError("the WAV file has no samples")


def _wav(form: bytes, samples: bytes) -> bytes:
    codec, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", form)
    if codec == 0xFFFE:
        (codec,) = struct.unpack_from("<H", form, 24)
    if codec not in (1, 3, 6, 7) or bits not in (8, 16, 24, 32, 64):
        raise MediaError("the WAV file is compressed in a way that is not read here; convert it to PCM")
    if not 1 <= channels <= 8 or not 1000 <= rate <= 384_000 or frame != channels * bits // 8:
        raise MediaError("the WAV file's header contradicts itself")
    samples = samples[: len(samples) // frame * frame]
    _check_seconds(len(samples) / frame / rate)
    plain = struct.pack("<HHIIHH", codec, channels, rate, rate * frame, frame, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(plain)) + plain + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _check_flac(data: bytes) -> bytes:
    if data[4] & 0x7F != 0:
        raise MediaError("the FLAC file does not begin with its stream's description")
    packed = int.from_bytes(data[18:26], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    if not 1000 <= rate <= 384_000 or not samples or len(data) < 42:
        raise MediaError("the FLAC file does not tell how long it is")
    _check_seconds(samples / rate)
    return data


_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MP3_KBITS = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_KBITS[0] = _MP3_KBITS[2]


def _check_mp3(data: bytes) -> bytes:
    """The frames of one stream (ISO 11172-3, 13818-3: layer III) end to end, and nothing else that is in the file.

    What decodes them looks for frames wherever it loses the thread, believes the number of samples that a Xing frame
    claims, and makes room for as many; so it is given a stream that it cannot lose, and no Xing frame.
    """
    at, seconds, tries = _after_id3(data), 0.0, 0
    frames: list[bytes] = []
    kind = b""
    while at + 4 <= len(data):
        frame = _mp3_frame(data, at)
        if frame is None or not _goes_on(data, at, frame[0], kind):
            at, tries = data.find(b"\xff", at + 1), tries + 1
            if at < 0 or tries > MAX_TRIES:
                break
            continue
        size, length = frame
        if frames or not any(tag in data[at : at + 64] for tag in (b"Xing", b"Info")):
            kind = kind or _mp3_kind(data, at)
            frames.append(data[at : at + size])
            seconds += length
        at += size
        if seconds > MAX_SECONDS:
            break
    if not frames:
        raise MediaError("it is no WAV, MP3 or FLAC sound")
    _check_seconds(seconds)
    return b"".join(frames)


def _mp3_kind(data: bytes, at: int) -> bytes:
    """What all frames of a stream have in common: version, layer, sample rate."""
    return bytes([data[at + 1] & 0xFE, data[at + 2] & 0x0C])


def _goes_on(data: bytes, at: int, size: int, kind: bytes) -> bool:
    """Whether the frame is of the stream; the first one is if the next of its kind, or the end, comes after it."""
    if at + size > len(data):
        return False
    if kind:
        return _mp3_kind(data, at) == kind
    after = at + size
    return after + 4 > len(data) or (
        _mp3_frame(data, after) is not None and _mp3_kind(data, after) == _mp3_kind(data, at)
    )


def _after_id3(data: bytes) -> int:
    if data[:3] != b"ID3":
        return 0
    a, b, c, d = data[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _mp3_frame(data: bytes, at: int) -> tuple[int, float] | None:
    """Bytes and seconds of the frame at `at`; None where there is none."""
    header = int.from_bytes(data[at : at + 4], "big")
    version, layer = header >> 19 & 3, header >> 17 & 3
    kbits, rate, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or kbits in (0, 15) or rate == 3:
        return None
    hertz = _MP3_RATES[version][rate]
    samples = 1152 if version == 3 else 576
    return samples // 8 * _MP3_KBITS[version][kbits - 1] * 1000 // hertz + padding, samples / hertz


def _check_seconds(seconds: float) -> None:
    if seconds < MIN_SECONDS:
        raise MediaError(f"it lasts {seconds:.2f} s; less than {MIN_SECONDS} s is no sound")
    if seconds > MAX_SECONDS:
        raise MediaError(f"it lasts more than {MAX_SECONDS // 60} minutes")
