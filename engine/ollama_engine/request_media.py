"""Images and sounds of a request: base64 to files, their places in the prompt's text, their length in its tokens.

Used by inference.py. A place is marked in the text by a word with a random number in it, drawn for each request:
nothing that a user writes can be taken for one. Among the prompt's tokens it is a negative number
(protocol.Generate.media). What the files really are the runner finds out; here only their first bytes are looked at.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Collection, Iterable

from ollama_engine.errors import InvalidRequest, TemplateError, TooLarge
from ollama_engine.prompt.collate import mark_images
from ollama_engine.prompt.truncate import IMAGE_TOKENS
from ollama_engine.runner.client import Runner
from ollama_engine.runner.media_files import MAX_FILE, is_sound
from ollama_engine.types import Message

NO_PROJECTOR = "this model is missing data required for image input"
MAX_FILES = 100
"""Images and sounds of one request, with those of earlier turns."""
_BASE64_LETTERS = re.compile(r"[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*")


class RequestMedia:
    """All images and sounds of the messages of one request, by their base64 text."""

    def __init__(self, messages: Iterable[Message]) -> None:
        """InvalidRequest where one is no base64; TooLarge where they are too many, or one is too long."""
        texts = [text for message in messages for text in message.images or ()]
        if len(texts) > MAX_FILES:
            raise TooLarge(
                f"the request has {len(texts)} images",
                hint=f"It may have {MAX_FILES}, with those of earlier turns.",
            )
        self.files = {text: _decoded(text) for text in texts}
        self._nonce = secrets.token_hex(8)
        self._marks = re.compile(rf"\[img-(\d+)-{self._nonce}\]")
        self._sizes: dict[str, int] = {}

    def check(self, capabilities: Collection[str], full_name: str) -> None:
        """InvalidRequest where the model cannot see, or hear, what it is shown."""
        for data in self.files.values():
            sense = "audio" if is_sound(data) else "vision"
            if sense not in capabilities:
                raise InvalidRequest(f"{full_name} does not support {sense}", hint=f"Use a model with {sense}.")

    def mark(self, number: int) -> str:
        """The place of image `number` of the messages that are rendered."""
        return f"[img-{number}-{self._nonce}]"

    def mark_raw(self, prompt: str, images: list[str] | None) -> str:
        """A raw prompt with its places marked: where it says `[img-N]` or `[img]`, else in front."""
        if not images:
            return prompt
        marked = re.sub(
            r"\[img-(\d{1,4})\]",
            lambda found: self.mark(int(found[1])) if int(found[1]) < len(images) else found[0],
            prompt,
        )
        if marked != prompt:
            return marked
        return mark_images([Message("user", prompt, images=images)], self.mark)[0].content

    def shown(self, prompt: str) -> str:
        """The rendered prompt as Ollama shows it, places as `[img-N]`."""
        return self._marks.sub(r"[img-\1]", prompt) if self.files else prompt

    async def measure(self, runner: Runner) -> None:
        """Learn how long each file is; InvalidRequest names what is broken."""
        if not self.files:
            return
        if not (runner.info.vision or runner.info.audio):
            raise InvalidRequest(NO_PROJECTOR, hint="Create the model with its projector: one FROM more.")
        sizes = await runner.measure(list(self.files.values()))
        self._sizes = dict(zip(self.files, sizes, strict=True))

    def size(self, message: Message) -> int:
        """Tokens that the message's images and sounds take."""
        return sum(self._sizes.get(text, IMAGE_TOKENS) for text in message.images or ())

    async def tokenize(self, runner: Runner, prompt: str) -> list[int]:
        """The prompt's tokens, -1 at the place of its first image, -2 of its second, …"""
        if not self.files:
            return await runner.tokenize(prompt)
        texts = self._marks.split(prompt)  # text, number, text, number, …, text
        tokens = await runner.tokenize(texts[0])
        special = runner.info.special
        ends = bool(len(texts) > 1 and special.add_eos and tokens and tokens[-1] == special.eos)
        if ends:
            del tokens[-1]
        for number, text in zip(texts[1::2], texts[2::2], strict=True):
            tokens.append(~int(number))
            tokens += await runner.tokenize(text, add_special=False) if text else []
        return [*tokens, special.eos] if ends else tokens

    def length(self, tokens: list[int], messages: Iterable[Message]) -> int:
        """How many cells of the context `tokens` take, the images of `messages` put in."""
        images = [text for message in messages for text in message.images or ()]
        return sum(1 if token >= 0 else self._sizes.get(images[~token], IMAGE_TOKENS) for token in tokens)

    def placed(self, tokens: list[int], messages: Iterable[Message]) -> list[bytes]:
        """The files of `messages`, in the order of their numbers; TemplateError where one has no place in `tokens`:
        an answer that ignored what it was asked to look at would be false."""
        images = [text for message in messages for text in message.images or ()]
        missing = next((number for number in range(len(images)) if ~number not in tokens), None)
        if missing is not None:
            raise TemplateError(
                f"the model's template leaves image {missing + 1} out of the prompt",
                hint="Send it with a user's message, and without a suffix.",
            )
        return [self.files[text] for text in images]


def _decoded(text: str) -> bytes:
    if len(text) > MAX_FILE * 1.5:
        raise TooLarge("an image is too large", hint=f"It may hold {MAX_FILE:,} bytes.")
    return decode_base64(text)


def decode_base64(text: str) -> bytes:
    """The bytes of standard base64; InvalidRequest in Go's words, with the place of the first byte that is none."""
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        found = _BASE64_LETTERS.match(text)
        at = found.end() if found else 0
        raise InvalidRequest(
            f"illegal base64 data at input byte {at}", hint="Images are sent as base64, without a data: prefix."
        ) from None
