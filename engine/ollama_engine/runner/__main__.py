"""`python -m ollama_engine.runner FD`: serve the model that the parent names over the inherited socket FD."""

from __future__ import annotations

import os
import signal
import socket
import sys


def main() -> None:
    # A Ctrl-C in the terminal reaches the whole process group; only the parent decides when a runner ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Read by OpenMP when llama.cpp loads. Its threads else spin for milliseconds at every node of the graph before they
    # sleep; until thread_count.py has noticed another busy program that costs most of the speed (docs/performance.md).
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    code = 1
    try:
        sock = socket.socket(fileno=int(sys.argv[1]))

        from ollama_engine.runner.session import Channel, Session

        code = Session(Channel(sock)).run()
    except BaseException:
        import traceback

        traceback.print_exc()
        raise
    finally:
        # Not by the interpreter's own end: a thread still reads the socket, and drivers may hang in destructors.
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
