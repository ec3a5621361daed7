"""A conversation on a ScriptedEngine whose lines a test gives; what is printed is pytest's to catch."""

from __future__ import annotations

from ollama_engine.types import ChatRequest, ModelInfo
from ollama_tui.cli.repl.line import LineInterrupted
from ollama_tui.cli.repl.loop import Conversation
from ollama_tui.cli.repl.session import Session
from tests.support.scripted_engine import ScriptedEngine


class Typed:
    """Gives lines one after the other, then the end; ctrl+c is `None`."""

    def __init__(self, *lines: str | None) -> None:
        self._lines = list(lines)

    async def read(self) -> str:
        if not self._lines:
            raise EOFError
        line = self._lines.pop(0)
        if line is None:
            raise LineInterrupted(empty=True)
        return line


class Talk:
    """`engine` answers; `session` and `history` are as the last `say` left them."""

    def __init__(self, engine: ScriptedEngine, session: Session | None = None) -> None:
        self.engine = engine
        self.session = session or Session("bard", capabilities=frozenset({"completion"}))
        self.history: list[bool] = []

    async def say(self, *lines: str | None) -> None:
        await Conversation(self.engine, self.session, Typed(*lines), self.history.append).run()

    @property
    def asked(self) -> list[ChatRequest]:
        """The chats that had something to answer."""
        return [request for request in self.engine.asked if isinstance(request, ChatRequest) and request.messages]


class ShowingEngine(ScriptedEngine):
    """Its models are as `info` says."""

    def __init__(self, *args: object, **fields: object) -> None:
        super().__init__(*args)  # pyright: ignore[reportArgumentType]
        self.info = ModelInfo(**{"capabilities": ["completion"], **fields})  # pyright: ignore[reportArgumentType]

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        self._known(name)
        return self.info
