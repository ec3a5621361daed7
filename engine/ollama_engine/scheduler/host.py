"""The processor's own figures: memory, load, temperature. They block: called in threads."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

SAMPLE = 0.1
"""Seconds that the first figure of the load is of."""
OLD = 15.0
"""Seconds after which the last look at the load is too long ago to say what it is now."""
PROCESSOR_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""Sensors of processors, as Linux names their drivers."""


@dataclass(frozen=True)
class HostFigures:
    """Memory in bytes; `utilization` in percent of all cores since the last figure, at most OLD seconds."""

    total: int
    free: int
    utilization: float


class Host:
    """One thread at a time."""

    def __init__(self) -> None:
        self._looked: float | None = None

    def read(self) -> HostFigures | None:
        """None where the system does not let us look."""
        try:
            memory = psutil.virtual_memory()
            recent = self._looked is not None and time.monotonic() - self._looked < OLD
            load = psutil.cpu_percent() if recent else psutil.cpu_percent(SAMPLE)
        except (OSError, psutil.Error):
            return None
        self._looked = time.monotonic()
        return HostFigures(memory.total, memory.available, load)


def temperature() -> float | None:
    """The hottest of the processor's sensors, degrees Celsius; None where the system shows none."""
    try:
        sensors = getattr(psutil, "sensors_temperatures", dict)()
    except (OSError, psutil.Error):
        return None
    chip = next((sensors[name] for name in PROCESSOR_CHIPS if sensors.get(name)), [])
    return max((sensor.current for sensor in chip), default=None)
