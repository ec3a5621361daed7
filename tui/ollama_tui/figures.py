"""Figures as the panes show them, where every column counts: sizes, ages, rates, times left.

Sizes are decimal (1 GB = 10^9 bytes). The command line prints in Ollama's own wording: see `format`.
"""

from __future__ import annotations

from ollama_tui.format import parse_timestamp


def size(count: int) -> str:
    """Bytes as `4.1 MB`; an empty text for nothing known (0)."""
    if count <= 0:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return _three_digits(value, unit)
        value /= 1000
    return _three_digits(value, "TB")


def _three_digits(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}" if value < 9.95 and unit != "B" else f"{value:.0f} {unit}"


def tokens(count: int) -> str:
    """A context length as it is spoken of: `512`, `8k`, `128k`, `1M`."""
    if count <= 0:
        return ""
    if count >= 1_000_000:
        return f"{count / (1 << 20):.0f}M"
    if count >= 1024:
        return f"{count / 1024:.0f}k"
    return str(count)


def rate(count: int, nanoseconds: int) -> float:
    """Things per second; 0 where nothing was measured."""
    return count / (nanoseconds / 1e9) if count > 0 and nanoseconds > 0 else 0.0


def per_second(value: float) -> str:
    return "" if value <= 0 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def seconds(value: float) -> str:
    """A waiting time: `0.08 s`, `1.4 s`, `2 m 05 s`."""
    if value < 0.1:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value) // 60} m {int(value) % 60:02d} s"


def timestamp(text: str) -> float | None:
    """RFC 3339 text as Unix seconds; None where there is none (Go's zero time included)."""
    moment = parse_timestamp(text)
    return moment.timestamp() if moment is not None and moment.year > 1 else None


def age(moment: str, now: float) -> str:
    """How long ago an RFC 3339 moment was: `5 minutes ago`."""
    then = timestamp(moment)
    if then is None:
        return ""
    passed = max(0.0, now - then)
    for length, unit in ((31_536_000, "year"), (2_592_000, "month"), (604_800, "week"), (86_400, "day")):
        if passed >= length:
            return _ago(int(passed // length), unit)
    for length, unit in ((3600, "hour"), (60, "minute")):
        if passed >= length:
            return _ago(int(passed // length), unit)
    return "just now"


def _ago(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


def until(moment: str, now: float) -> str:
    """Time left to an RFC 3339 moment: `4:31`; `forever` beyond ten years, `now` when it has passed."""
    then = timestamp(moment)
    if then is None:
        return ""
    return duration(then - now)


def duration(seconds: float) -> str:
    """A time that is left: `4:31`, `1:04:31`, `3 d`; `forever` beyond ten years, `now` where there is none."""
    left = int(seconds)
    if left <= 0:
        return "now"
    return "forever" if left > 315_360_000 else clock(left)


def clock(seconds: float) -> str:
    """A time as a clock shows it: `0:07`, `4:31`, `1:04:31`, and in days from one on."""
    whole = max(0, int(seconds))
    if whole >= 86_400:
        return f"{whole // 86_400} d"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
