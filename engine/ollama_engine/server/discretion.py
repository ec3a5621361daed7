"""What errors must not tell a client: where things lie on this machine. The log has the whole message."""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import platformdirs

from ollama_engine.errors import EngineError
from ollama_engine.settings import APP, Settings

_LOG = logging.getLogger("ollama_engine.server")


class Discretion:
    """Puts names in the place of folders.

    Args:
        folders: folder -> what to call it. Of folders within one another the inner one is meant.
    """

    def __init__(self, folders: Mapping[Path, str]) -> None:
        names: dict[str, str] = {}
        for folder, name in folders.items():
            for path in (str(folder), os.path.realpath(folder)):
                if path != os.sep:
                    names.setdefault(path, name)
        self._names = names
        longest_first = sorted(names, key=len, reverse=True)
        self._folders = re.compile(rf"(?<![\w./-])({'|'.join(map(re.escape, longest_first)) or '(?!)'})(?=$|\W)")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """For a server with these settings."""
        return cls(
            {
                settings.models.expanduser(): "OLLAMA_MODELS",
                Path(platformdirs.user_config_dir(APP)): "CONFIG",
                Path(os.path.expanduser("~")): "~",  # Path.home() raises where there is none, as in some containers
                Path(tempfile.gettempdir()): "TMPDIR",
            }
        )

    def text(self, text: str) -> str:
        return self._folders.sub(lambda found: self._names[found[1]], text)

    def error(self, error: EngineError) -> EngineError:
        """`error`, changed to say no more than it may.

        What is wrong with a request (4xx) is told in its own words: to look for folders there would be to tell who
        guesses them that he guessed right.
        """
        message, hint = error.message, error.hint
        if error.path is not None:
            message = message.replace(str(error.path), error.path.name)
        if error.status >= 500:
            message, hint = self.text(message), self.text(hint)
        if (message, hint) != (error.message, error.hint):
            _LOG.warning("%s", error.message)
            error.message, error.hint = message, hint
        return error
