"""Numbers, times and tables in Ollama's wording (spec §3). The command line and the panes print with these.

Everything here is a pure function from values to text; the caller brings the clock.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

_SIZES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))
_HOURS_TO_FOREVER = 20 * 365 * 24
COLUMN_GAP = "    "


def size(count: int) -> str:
    """Bytes in decimal units: `4.7 GB`, `274 MB`, `2 KB`, `12 B`. Ten and more are cut to whole units."""
    for scale, unit in _SIZES:
        if count >= scale:
            whole, rest = divmod(count, scale)
            return f"{whole} {unit}" if whole >= 10 or not rest else f"{count / scale:.1f} {unit}"
    return f"{count} B"


def parameter_count(count: int) -> str:
    """How many weights: `7.6B`, `494.03M`, `137M`, `22K`, `512`."""
    if count >= 10**9:
        return f"{count // 10**9}B" if count % 10**9 == 0 else f"{count / 10**9:.1f}B"
    if count >= 10**6:
        return f"{count // 10**6}M" if count % 10**6 == 0 else f"{count / 10**6:.2f}M"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def span(seconds: float) -> str:
    """A length of time in words: `Less than a second`, `4 minutes`, `About an hour`, `3 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return _counted(whole, "second")
    minutes = whole // 60
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 14:
        return f"{hours // 24} days"
    if hours < 24 * 60:
        return f"{hours // (24 * 7)} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // (24 * 30)} months"
    return f"{hours // (24 * 365)} years"


def moment(when: datetime | None, now: datetime) -> str:
    """A time as seen from now: `3 days ago`, `4 minutes from now`, `Forever` past twenty years, `Never` for none."""
    if when is None or when.year <= 1:
        return "Never"
    seconds = (when - now).total_seconds()
    if seconds / 3600 > _HOURS_TO_FOREVER:
        return "Forever"
    return f"{span(seconds)} from now" if seconds > 0 else f"{span(-seconds)} ago"


def parse_timestamp(text: str) -> datetime | None:
    """An RFC 3339 time as an aware datetime; None where it is empty or no such time (a foreign server's)."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def processor(total: int, on_device: int) -> str:
    """Where a loaded model lies, from its bytes in all and on devices: `100% GPU`, `48%/52% CPU/GPU`, `Unknown`."""
    if on_device == 0:
        return "100% CPU"
    if on_device == total:
        return "100% GPU"
    if on_device > total or total == 0:
        return "Unknown"
    on_host = int((total - on_device) / total * 100 + 0.5)
    return f"{on_host}%/{100 - on_host}% CPU/GPU"


def until(when: datetime | None, now: datetime) -> str:
    """When a loaded model leaves memory; a time gone by means that it is leaving."""
    if when is not None and when.year > 1 and when < now:
        return "Stopping..."
    return moment(when, now)


def table(rows: Sequence[Sequence[str]], *, indent: str = "") -> str:
    """Left-aligned columns, four blanks between them, no borders; one line a row, each ended by a newline."""
    columns = max((len(row) for row in rows), default=0)
    widths = [max(cell_width(row[i]) if i < len(row) else 0 for row in rows) for i in range(columns)]
    lines = []
    for row in rows:
        cells = (cell + " " * (widths[i] - cell_width(cell)) for i, cell in enumerate(row))
        lines.append(f"{indent}{COLUMN_GAP.join(cells)}".rstrip() + "\n")
    return "".join(lines)


def cell_width(text: str) -> int:
    """Terminal cells that `text` takes: two for wide characters and emoji, none for what joins the one before it."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth, wcwidth  # its tables take long to read, and most text is ASCII

    cells = wcswidth(text)
    return cells if cells >= 0 else sum(max(0, wcwidth(character)) for character in text)


def plain(text: str) -> str:
    """`text` without control characters, tab and newline excepted: what strangers wrote cannot steer a terminal."""
    return "".join(character for character in text if character in "\n\t" or unicodedata.category(character) != "Cc")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
