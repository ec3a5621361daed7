"""`python -m ollama_engine.runner FD`: serve the model that the parent names over the inherited socket FD."""

from __future__ import annotations

import signal
import socket
import sys


def main() -> int:
    # A Ctrl-C in the terminal reaches the whole process group; only the parent decides when a runner ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[1]))

    from ollama_engine.runner.session import Channel, Session

    return Session(Channel(sock)).run()


if __name__ == "__main__":
    sys.exit(main())
