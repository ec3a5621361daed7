"""`python -m ollama_tui` is the `ollama-tui` command."""

from __future__ import annotations

import sys

from ollama_tui.cli import main

if __name__ == "__main__":
    sys.exit(main())
