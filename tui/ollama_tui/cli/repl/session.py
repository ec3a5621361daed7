"""A conversation at the prompt: what was said, and how the next answer is to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET, UnsetType

from ollama_engine.types import ChatRequest, CreateRequest, KeepAlive, Message, ModelInfo, Think


@dataclass
class Session:
    """`loaded` are the MESSAGEs that the model brings; the engine puts them before `messages` by itself.

    `think` is None where nobody has said whether the model is to.
    """

    model: str
    capabilities: frozenset[str] = frozenset()
    loaded: list[Message] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    system: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    format: Any = None
    grammar: str = ""
    think: Think = None
    keep_alive: KeepAlive | UnsetType = UNSET
    word_wrap: bool = True
    verbose: bool = False
    hide_thinking: bool = False

    def __post_init__(self) -> None:
        if self.system:
            self.messages.append(Message("system", self.system))

    @property
    def takes_files(self) -> bool:
        """Whether the model sees or hears, so that files named in a message are sent along."""
        return not self.capabilities.isdisjoint(("vision", "audio"))

    def use(self, model: str, info: ModelInfo) -> None:
        """Go on with another model, and with nothing of what was said."""
        self.model = model
        self.know(info)
        self.system = ""
        self.messages = []

    def know(self, info: ModelInfo) -> None:
        """Take over what the model is and brings."""
        self.capabilities = frozenset(info.capabilities)
        self.loaded = list(info.messages or ())

    def set_system(self, text: str) -> None:
        """From the next message on; one that nothing was said to yet is replaced."""
        self.system = text
        message = Message("system", text)
        if self.messages and self.messages[-1].role == "system":
            self.messages[-1] = message
        else:
            self.messages.append(message)

    def clear(self) -> None:
        self.messages = [Message("system", self.system)] if self.system else []

    def load_request(self, model: str) -> ChatRequest:
        """A chat without messages, which brings a model into memory as the next request wants it."""
        return ChatRequest(model=model, options=dict(self.options) or None, keep_alive=self.keep_alive)

    def request(self, question: Message) -> ChatRequest:
        return ChatRequest(
            model=self.model,
            messages=[*self.messages, question],
            format=self.format,
            grammar=self.grammar,
            options=dict(self.options) or None,
            think=self._thinks(),
            keep_alive=self.keep_alive,
        )

    def add(self, question: Message, answer: Message) -> None:
        """Keep an answer, or as much of it as there was."""
        self.messages += [question, answer]

    def save_request(self, name: str) -> CreateRequest:
        """A model that goes on from here: this one's layers, with the system message, parameters and messages.

        The system message is a layer of its own; among the messages it would be said twice.
        """
        own = [
            message for message in self.messages if not (message.role == "system" and message.content == self.system)
        ]
        return CreateRequest(
            model=name,
            from_=self.model,
            system=self.system,
            parameters=dict(self.options) or None,
            messages=[*self.loaded, *own] or None,
        )

    def _thinks(self) -> Think:
        """A model that can think is asked to, as Ollama's own client does: older servers do not by themselves."""
        if self.think is None and "thinking" in self.capabilities:
            return True
        return self.think
