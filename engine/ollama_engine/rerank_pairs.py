"""A query and a document as one input of a reranker, put together as llama.cpp's server does (embedding.py's part).

By the model's own template (`tokenizer.chat_template.rerank`) where it has one, otherwise
`BOS query EOS SEP document EOS`, each special token only where the vocabulary wants it.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from ollama_engine.errors import PromptTooLong
from ollama_engine.runner.client import Runner

_FIELD = re.compile(r"\{(query|document)\}")
HINT = "Shorten the query, or leave truncate at true; only documents are cut."


@dataclass(frozen=True)
class Pairs:
    """Makes inputs of `limit` tokens at most for `runner`; without `truncate` a longer one is refused."""

    runner: Runner
    template: str
    limit: int
    truncate: bool

    async def tokens(self, query: str, documents: list[str]) -> list[list[int]]:
        """The tokens of each pair; PromptTooLong where one does not fit."""
        if self.template:
            return list(await asyncio.gather(*(self._templated(query, document) for document in documents)))
        first, *rest = await asyncio.gather(*map(self._plain, [query, *documents]))
        return [self._joined(first, document) for document in rest]

    async def _plain(self, text: str) -> list[int]:
        return await self.runner.tokenize(text, add_special=False, parse_special=False)

    def _joined(self, query: list[int], document: list[int]) -> list[int]:
        special = self.runner.info.special
        eos = [special.eos if special.eos >= 0 else special.sep] if special.add_eos else []
        sep = [special.sep] if special.add_sep else []
        before = [*([special.bos] if special.add_bos else []), *query, *eos, *sep]
        room = self._room(len(before) + len(eos), len(document))
        return [*before, *document[:room], *eos]

    async def _templated(self, query: str, document: str) -> list[int]:
        tokens = await self._rendered(query, document)
        if len(tokens) <= self.limit:
            return tokens
        words = await self._plain(document)
        # What is cut by tokens and written out again may tokenize to a few more than were kept: then again, shorter.
        room = self._room(len(tokens) - len(words), len(words))
        while len(tokens) > self.limit and room > 0:
            tokens = await self._rendered(query, await self.runner.detokenize(words[:room]))
            room -= max(1, len(tokens) - self.limit)
        if len(tokens) > self.limit:
            raise self._too_long()
        return tokens

    async def _rendered(self, query: str, document: str) -> list[int]:
        # In one pass: a query that says {document} is not a place to put one.
        parts = {"query": query, "document": document}
        text = _FIELD.sub(lambda match: parts[match[1]], self.template)
        return await self.runner.tokenize(text, add_special=False)

    def _room(self, taken: int, wanted: int) -> int:
        """How many of a document's `wanted` tokens there is room for beside the `taken` ones."""
        room = self.limit - taken
        if wanted > room and (room <= 0 or not self.truncate):
            raise self._too_long()
        return min(wanted, room)

    def _too_long(self) -> PromptTooLong:
        return PromptTooLong(f"a query and its document are longer than the context of {self.limit} tokens", hint=HINT)
