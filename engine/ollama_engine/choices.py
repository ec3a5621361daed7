"""The words of settings that take one of some words. Imports nothing: the help of the command line has them."""

from __future__ import annotations

REQUIRE_KEY = ("remote", "always", "never")
KEYMAPS = ("default", "vim", "emacs", "tmux-safe")
GLYPHS = ("unicode", "ascii")
SSH = ("auto", "on", "off")
