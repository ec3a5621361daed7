"""`python -m ollama_engine.runner.quantize`: one quantization by llama.cpp, in a process of its own.

llama.cpp cannot be told to stop in the middle of it, and ends the whole process where a file surprises it; the parent
(`quantizer`) kills this one to cancel, and this one ends when the parent does.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import traceback
from typing import BinaryIO

from ollama_engine.runner.logs import LlamaLog
from ollama_engine.runner.quantize_protocol import (
    QuantizeBegun,
    QuantizeDone,
    QuantizeFailed,
    QuantizePlanned,
    QuantizeReport,
    QuantizeSpec,
    encode_quantize_report,
    read_spec,
)

_TENSOR = re.compile(r"^\[\s*(\d+)/\s*(\d+)\]")
_SIZE = re.compile(r"quant size\s*=\s*([\d.]+) MiB")
MIB = 1024 * 1024


def main() -> None:
    # A Ctrl-C in the terminal reaches the whole process group; only the parent decides when this ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what C code prints is no report
    try:
        spec = read_spec(sys.stdin.buffer)
        threading.Thread(target=_end_with_parent, args=(sys.stdin.buffer,), daemon=True).start()
        report = _quantize(spec, out)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent is told
        traceback.print_exc()
        report = QuantizeFailed(f"{type(error).__name__}: {error}")
    with contextlib.suppress(BrokenPipeError):
        out.write(encode_quantize_report(report))
    sys.stderr.flush()
    os._exit(0 if isinstance(report, QuantizeDone) else 1)


def _end_with_parent(stdin: BinaryIO) -> None:
    """stdin ends when the parent closes it or is gone, however that came about."""
    with contextlib.suppress(OSError):
        stdin.read()
    os._exit(1)


def _quantize(spec: QuantizeSpec, out: BinaryIO) -> QuantizeReport:
    from ollama_engine.runner.llama import LlamaError, set_log
    from ollama_engine.runner.llama_quantize import quantize_file

    log = LlamaLog()
    planning = True

    def listen(level: int, text: str) -> None:
        log.write(level, text)
        if planning and (size := _SIZE.search(text)):
            out.write(encode_quantize_report(QuantizePlanned(int(float(size[1]) * MIB))))
        elif not planning and (tensor := _TENSOR.match(text)):
            out.write(encode_quantize_report(QuantizeBegun(int(tensor[1]), int(tensor[2]))))

    keep = set_log(listen)
    try:
        quantize_file(spec, dry_run=True)
        planning = False
        quantize_file(spec, dry_run=False)
    except LlamaError:
        return QuantizeFailed(log.reason.removeprefix("failed to quantize: ") or "llama.cpp gave no reason")
    finally:
        del keep
    return QuantizeDone()


if __name__ == "__main__":
    main()
