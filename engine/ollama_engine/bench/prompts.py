"""Prompts of an exact number of tokens, each of other words.

Words are drawn at random, counted by the model's own tokenizer, cut, and filled up to the number with single tokens. An
engine that does not tokenize (Ollama's) gets about as many tokens: what it really read is in the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ollama_engine.engine import Engine
from ollama_engine.errors import InvalidRequest, NotSupported
from ollama_engine.types import JSON, TokenizeRequest

# Short and common, so that most vocabularies have each as one token.
_LINES = (
    "time year people way day man thing woman life child world school state family student group country problem",
    "hand part place case week company system program question work government number night point home water room",
    "mother area money story fact month lot right study book eye job word business issue side kind head house",
    "service friend father power hour game line end member law car city community name president team minute idea",
    "kid body information back parent face others level office door health person art war history party result",
    "change morning reason research girl guy moment air teacher force education",
)
WORDS = tuple(word for line in _LINES for word in line.split())
FILLERS = (" a", " I", ".", " x", "a", "-", "\n", "7")
"""One of them is one token more in any vocabulary that we have met."""
MOST_FILLERS = 12


@dataclass(frozen=True)
class Prompt:
    """`tokens` as the model counts them, its own begin token included; 0 where the engine does not tell."""

    text: str
    tokens: int


class PromptMaker:
    """Makes prompts for one model with one set of options."""

    def __init__(self, engine: Engine, model: str, options: JSON) -> None:
        self._engine = engine
        self._model = model
        self._options = options
        self._per_word = 1.0
        """Tokens of a word, as far as is known."""

    async def make(self, tokens: int, random: Random) -> Prompt:
        """A prompt of exactly `tokens` tokens.

        Raises:
            InvalidRequest: the model's vocabulary has none of so few.
            EngineError: as `Engine.tokenize`.
        """
        words = random.choices(WORDS, k=tokens)
        try:
            return await self._fitted(words, tokens)
        except NotSupported:
            return Prompt(" ".join(words), 0)

    async def _fitted(self, words: list[str], tokens: int) -> Prompt:
        empty = await self._count("")
        low, low_count = 0, empty  # so many words are not too many
        high = len(words) + 1  # so many are
        guess = max(1, min(len(words), int((tokens - empty) / self._per_word)))
        while high - low > 1 and tokens - low_count > MOST_FILLERS:
            guess = min(max(guess, low + 1), high - 1)
            count = await self._count(" ".join(words[:guess]))
            if count > tokens:
                high = guess
            else:
                low, low_count = guess, count
            self._per_word = max(0.1, (count - empty) / guess)
            guess = low + int((tokens - low_count) / self._per_word)
        return await self._filled(" ".join(words[:low]), low_count, tokens)

    async def _filled(self, text: str, count: int, tokens: int) -> Prompt:
        if count < tokens:
            for filler in FILLERS:  # mostly each of them is one more
                whole = text + filler * (tokens - count)
                if await self._count(whole) == tokens:
                    return Prompt(whole, tokens)
        while count < tokens:
            text = await self._longer(text, count)
            count += 1
        if count != tokens:
            raise InvalidRequest(f"no prompt has as few as {tokens} tokens", hint=f"Ask for {count} or more.")
        return Prompt(text, tokens)

    async def _longer(self, text: str, count: int) -> str:
        for filler in FILLERS:
            if await self._count(text + filler) == count + 1:
                return text + filler
        raise InvalidRequest(f"no text could be found that the model reads as {count + 1} tokens")

    async def _count(self, text: str) -> int:
        request = TokenizeRequest(self._model, text, add_special=True, parse_special=True, options=self._options)
        return len((await self._engine.tokenize(request)).tokens)
