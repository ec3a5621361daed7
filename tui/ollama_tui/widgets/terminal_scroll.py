"""The terminal moves lines itself: what a widget shows goes up or down, and only the new lines are sent.

Textual sends a pane whole when it scrolls by one line (5 kB and more). Every terminal since the VT102 can do it in ten
bytes: margins around the widget's lines, then delete or insert lines at its top. That is right only for a widget
as wide as the screen with nothing over it, and all of which is on the screen as it was last drawn.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.geometry import Region
from textual.widget import Widget


def scroll_terminal(widget: Widget, lines: int, changed: Iterable[Region]) -> bool:
    """Move what `widget` shows up by `lines` (down where negative) and paint `changed`, regions of the widget, anew.

    False where the terminal cannot do it, or what is on the screen is not known: then nothing has been done.
    """
    app, screen = widget.app, widget.screen
    driver = app._driver
    if driver is None or driver.is_headless or driver.is_web or driver.is_inline or app._batch_count:
        return False
    if app.screen is not screen or screen._layout_required or widget._repaint_regions or not app._running:
        return False
    compositor = screen._compositor
    compositor.update_widgets(screen._dirty_widgets)
    screen._dirty_widgets.clear()
    region = _free_region(widget)
    if region is None or any(dirty.overlaps(region) for dirty in compositor._dirty_regions):
        screen._compositor_refresh()
        return False
    driver.write(_sequence(region, lines))
    widget._styles_cache.clear()
    compositor._dirty_regions.update(one.translate(region.offset) for one in changed)
    screen._compositor_refresh()
    return True


def can_scroll(widget: Widget) -> bool:
    """Whether the terminal could move the widget's lines, as the screen is laid out now."""
    return widget.is_mounted and _free_region(widget) is not None


def pending_writes(widget: Widget) -> int:
    """Frames that wait to be sent: more than a few say that the line to the terminal is slower than they are."""
    thread = getattr(widget.app._driver, "_writer_thread", None)
    return thread._queue.qsize() if thread is not None else 0


def _free_region(widget: Widget) -> Region | None:
    """Where the widget is on the screen, if it is as wide as that and nothing lies over it."""
    screen = widget.screen
    visible = screen._compositor.visible_widgets
    if widget not in visible:
        return None
    region, clip = visible[widget]
    if not clip.contains_region(region) or region.x or region.width != screen.size.width or region.height < 2:
        return None
    around = {widget, *widget.ancestors}
    for other, (place, other_clip) in visible.items():
        if other not in around and place.intersection(other_clip).overlaps(region):
            return None
    return region


def _sequence(region: Region, lines: int) -> str:
    move = f"\x1b[{lines}M" if lines > 0 else f"\x1b[{-lines}L"
    return f"\x1b[0m\x1b[{region.y + 1};{region.bottom}r\x1b[{region.y + 1};1H{move}\x1b[r"
