"""The reach table: the real program at a pseudo-terminal, a real server behind HTTP.

    python -m tests.bench.reach [--columns 160] [--lines 45] [--only stream] [--quick] [--json FILE]

Bytes are exact on any machine; times and shares of a core are not on a busy one: the load is printed with them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.bench.reach import figures
from tests.bench.reach.figures import Desk, Figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=160)
    parser.add_argument("--lines", type=int, default=45)
    parser.add_argument("--only", nargs="+", default=[], help="paint idle prose code list beside echo open slow")
    parser.add_argument("--quick", action="store_true", help="a quarter of the time: for a look")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    part = 4 if arguments.quick else 1

    def asked(name: str) -> bool:
        return not arguments.only or name in arguments.only

    found: list[Figure] = []
    print(f"terminal {arguments.columns}x{arguments.lines}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")

    def measure(name: str, figure: Callable[[Desk], list[Figure]]) -> None:
        if not asked(name):
            return
        desk = Desk(arguments.columns, arguments.lines)
        try:
            for one in figure(desk):
                found.append(one)
                reach = "" if one.reach == float("inf") else f"{one.reach:g}"
                print(f"{one.name:58} {one.value:9.3g} {one.unit:4} {reach:>6} {'' if one.holds else 'not reached'}")
        finally:
            shutil.rmtree(desk.home, ignore_errors=True)

    measure("paint", figures.first_paint)
    with Desk(arguments.columns, arguments.lines).server() as address:
        measure("idle", lambda desk: figures.idle(desk, address, 20 / part))
        measure("prose", lambda desk: figures.stream(desk, address, "prose", 1000 // part, "prose", 400))
        measure("code", lambda desk: figures.stream(desk, address, "code", 1050 // part, "a fence of 150 lines", 600))
        measure("list", lambda desk: figures.stream(desk, address, "list", 1050 // part, "a list of 30 items", 600))
        measure(
            "beside",
            lambda desk: figures.stream(
                desk, address, "prose", 1000 // part, "prose beside the list", 400, beside=True
            ),
        )
        measure(
            "beside",
            lambda desk: figures.stream(
                desk, address, "code", 1050 // part, "a fence beside the list", 600, beside=True
            ),
        )
        measure("echo", lambda desk: figures.key_echo(desk, address, 200 // part))
        measure("open", lambda desk: figures.long_conversation(desk, address, 2000))
        measure("slow", lambda desk: figures.slow_line(desk, address, 600 // part))
    if arguments.json:
        size = {"columns": arguments.columns, "lines": arguments.lines, "load": os.getloadavg()}
        rows = [{**vars(one), "reach": None if one.reach == float("inf") else one.reach} for one in found]
        arguments.json.write_text(json.dumps({**size, "figures": rows}, indent=1))


if __name__ == "__main__":
    main()
