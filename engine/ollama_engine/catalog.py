"""What the store's models are: the lines of `list`, the pages of `show`, the metadata that a load needs.

Header scans are kept by file (path, size and time), so a list of many models reads each header once.
"""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

from ollama_engine.errors import EngineError, LoadFailed, StoreError, TemplateError
from ollama_engine.gguf.capabilities import projector_senses
from ollama_engine.gguf.header import Header, read_header
from ollama_engine.gguf.metadata import ModelMetadata, model_metadata
from ollama_engine.gguf.model_info import model_info, tensor_infos
from ollama_engine.gguf.projectors import projector_problem
from ollama_engine.gguf.shards import merge_shards
from ollama_engine.modelfile.adapters import check_adapter
from ollama_engine.modelfile.layers import parameters_text, render_modelfile
from ollama_engine.output.dialects import markers_for
from ollama_engine.output.syntax import Markers
from ollama_engine.prompt.capabilities import template_capabilities
from ollama_engine.prompt.render import ChatTemplate, JinjaChat, select_template
from ollama_engine.store.model import Model, open_model
from ollama_engine.store.store import Entry, Store
from ollama_engine.types import Capability, ModelDetails, ModelInfo, ModelSummary

CAPABILITIES: tuple[Capability, ...] = (
    "completion",
    "embedding",
    "vision",
    "audio",
    "tools",
    "insert",
    "thinking",
    "image",
)
"""The order in which they are listed."""

KEPT_TEMPLATES = 32
KEPT_PROJECTORS = 256


class Catalog:
    """Reads a store. Synchronous: callers on an event loop use a thread."""

    def __init__(self, store: Store, *, go_template: bool | None = None) -> None:
        """`go_template` is the setting of that name: which template speaks, whatever the models say."""
        self._store = store
        self._go_template = go_template
        self._metadata: dict[tuple[tuple[str, int, int], ...], ModelMetadata] = {}
        self._fitting: set[tuple[tuple[str, int, int], ...]] = set()
        """Weights and adapters that were found to belong together."""
        self._select_template = functools.lru_cache(KEPT_TEMPLATES)(select_template)
        self._senses = functools.lru_cache(KEPT_PROJECTORS)(_senses)
        self._markers_for = functools.lru_cache(KEPT_TEMPLATES)(self._find_markers)

    def summaries(self) -> list[ModelSummary]:
        """All models, newest first; one whose weights are missing or broken is listed with what is known of it."""
        return [self._summary(entry) for entry in self._store.list()]

    def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        model = open_model(self._store, name)
        header = _header(model)
        metadata = self.metadata(model)
        projector = read_header(model.projector_paths[0]) if model.projector_paths else None
        return ModelInfo(
            license="\n".join(model.licenses),
            modelfile=render_modelfile(model, model.name.display),
            parameters=parameters_text(model.parameters),
            template=self._shown_template(model, metadata),
            template_engine=_engine(self._speaker(model)),
            system=model.system or "",
            details=details(model, metadata),
            messages=model.messages or None,
            model_info=model_info(header, verbose=verbose),
            projector_info=model_info(projector, verbose=verbose) if projector else None,
            tensors=tensor_infos(header),
            capabilities=list(self.capabilities(model)),
            modified_at=model.modified_at,
            requires=model.config.requires,
        )

    def _speaker(self, model: Model) -> ChatTemplate | None:
        with contextlib.suppress(TemplateError):  # told of when the model is used
            return self.template(model)
        return None

    def _shown_template(self, model: Model, metadata: ModelMetadata) -> str:
        """What speaks; what is there, where it does not parse; nothing where only the bare prompt is left."""
        speaker = self._speaker(model)
        there = model.template if model.template is not None else metadata.chat_template
        return speaker.source if speaker is not None and there else there

    def metadata(self, model: Model) -> ModelMetadata:
        """What the header of the model's weights says; InvalidGGUF, StoreError where there are none."""
        if not model.model_paths:
            raise StoreError(
                f"model '{model.name.display}' has no weights here",
                hint="It may be a safetensors or cloud model, which this program does not run.",
            )
        key = tuple(_fingerprint(path) for path in model.model_paths)
        if key not in self._metadata:
            self._metadata[key] = model_metadata(_header(model))
        return self._metadata[key]

    def check_adapters(self, model: Model) -> None:
        """InvalidRequest where an adapter is not for the weights that it comes with: `create` refuses those, but what
        is pulled was made elsewhere. Headers are read once."""
        key = tuple(_fingerprint(path) for path in (*model.model_paths, *model.adapter_paths))
        if not model.adapter_paths or key in self._fitting:
            return
        header = _header(model)
        for path in model.adapter_paths:
            check_adapter(path.name, read_header(path), header)
        self._fitting.add(key)

    def template(self, model: Model) -> ChatTemplate:
        """The template that speaks for the model, compiled once; TemplateError where it does not parse."""
        metadata = self.metadata(model)
        return self._select_template(
            model.template,
            metadata.chat_template,
            metadata.bos_token,
            metadata.eos_token,
            prefer_go=self._prefer(model),
        )

    def inserter(self, model: Model) -> ChatTemplate | None:
        """The TEMPLATE layer where it has a form for a suffix, though the GGUF's template, which has none, may be the
        one that speaks otherwise."""
        with contextlib.suppress(TemplateError):  # told of when the template is to speak
            chat = self._select_template(model.template, None)
            return chat if chat.can_insert else None
        return None

    def _prefer(self, model: Model) -> bool | None:
        """A TEMPLATE that somebody wrote for the model speaks; one that was pulled has to be the abler (spec §8.1).

        Where a RENDERER is named, which writes the prompt in Ollama itself, the TEMPLATE layer is a stopgap.
        """
        if self._go_template is not None:
            return self._go_template
        if model.config.template_origin == "modelfile":
            return True
        return False if model.config.renderer else None

    def markers(self, model: Model) -> Markers:
        """What the model writes around its thinking and its tool calls, told from its template once."""
        metadata = self.metadata(model)
        return self._markers_for(self.template(model), model.config.parser, metadata.chat_template)

    @staticmethod
    def _find_markers(template: ChatTemplate, parser: str, source: str) -> Markers:
        return markers_for(template, parser=parser, source=source)

    def capabilities(self, model: Model) -> tuple[str, ...]:
        """Spec §1.7: what the config says, the weights, the template and a projector add up to."""
        found: set[str] = set(model.config.capabilities)
        metadata = self.metadata(model)
        found.update(metadata.capabilities)
        if metadata.infill and "completion" in metadata.capabilities:
            found.add("insert")
        if model.template is not None:
            with contextlib.suppress(TemplateError):  # told of when the model is used; what else it can do holds
                found.update(template_capabilities(model.template))
        for path in model.projector_paths:
            found.update(self._senses(*_fingerprint(path)))
        return tuple(word for word in CAPABILITIES if word in found)

    def check_projectors(self, model: Model) -> None:
        """LoadFailed where llama.cpp could load one, and would end the process when it is used."""
        for path in model.projector_paths:
            if problem := projector_problem(read_header(path)):
                raise LoadFailed(
                    f"the projector of '{model.name.display}' cannot be run: {problem}",
                    hint="Create the model without this projector, or with one that was converted otherwise.",
                )

    def _summary(self, entry: Entry) -> ModelSummary:
        known, capabilities = ModelDetails(), ()
        try:
            model = open_model(self._store, entry.name)
            known = details(model, None)
            known = details(model, self.metadata(model))
            capabilities = self.capabilities(model)
        except (EngineError, OSError):
            pass  # the name can still be seen, and deleted; `show` and `chat` say what is wrong with it
        return ModelSummary(
            name=entry.name.display,
            model=entry.name.display,
            modified_at=entry.modified_at,
            size=entry.size,
            digest=entry.digest,
            details=known,
            capabilities=list(capabilities),
        )


def details(model: Model, metadata: ModelMetadata | None) -> ModelDetails:
    """The config's words where it has them (they are what was pulled), the header's otherwise."""
    config = model.config
    found = metadata.details if metadata else ModelDetails()
    return ModelDetails(
        parent_model=model.parent,
        format=config.model_format or found.format,
        family=config.model_family or found.family,
        families=config.model_families or found.families,
        parameter_size=config.model_type or found.parameter_size,
        quantization_level=config.file_type or found.quantization_level,
        context_length=config.context_length or found.context_length,
        embedding_length=config.embedding_length or found.embedding_length,
    )


def _engine(speaker: ChatTemplate | None) -> str:
    return "" if speaker is None else "jinja" if isinstance(speaker, JinjaChat) else "go"


def _header(model: Model) -> Header:
    headers = [read_header(path) for path in model.model_paths]
    if not headers:
        raise StoreError(f"model '{model.name.display}' has no weights here")
    return headers[0] if len(headers) == 1 else merge_shards(headers)


def _senses(path: str, size: int, time: int) -> tuple[str, ...]:
    """What a projector adds; size and time are only there to know the file by."""
    return tuple(projector_senses(read_header(Path(path))))


def _fingerprint(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns
