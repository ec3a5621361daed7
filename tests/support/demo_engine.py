"""`DemoEngine`: an engine without models, deterministic to the token, for tests of the faces and for looking at them.

It keeps the Engine Protocol: streams are async generators that end when they are closed. `python -m
tests.support.demo_engine` opens the workstation on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Self

import msgspec

from ollama_engine.errors import EngineError, ModelNotFound, NotFound
from ollama_engine.types import (
    ChatChunk,
    ChatRequest,
    CreateRequest,
    DetokenizeRequest,
    DetokenizeResponse,
    Device,
    DeviceShare,
    EmbedRequest,
    EmbedResponse,
    GenerateChunk,
    GenerateRequest,
    KeepAlive,
    LayerView,
    MemoryPlan,
    Message,
    ModelDetails,
    ModelInfo,
    ModelSummary,
    PlanRequest,
    Progress,
    PullRequest,
    PullView,
    PushRequest,
    RankedDocument,
    RequestView,
    RerankRequest,
    RerankResponse,
    RunningModel,
    TokenizeRequest,
    TokenizeResponse,
    TransferLimits,
    TransferProgress,
    Update,
)
from tests.support.demo_pulls import DemoPulls

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()

ANSWER = """Good morrow! Here is **what thou askest**, in three parts:

- first, a *list* of things
- second, `inline code`
- third, a longer point that goes on for a while so that it has to wrap at eighty columns or thereabouts

```python
def greet(name: str) -> str:
    return f"hail, {name}"
```

| part | why |
|---|---|
| table | it must be drawn whole |

And so, fare thee well.
"""


def pieces(text: str) -> list[str]:
    """`text` cut as a model would say it: a word with the blank before it."""
    cut: list[str] = []
    for character in text:
        if cut and not (character.isspace() and not cut[-1].isspace()):
            cut[-1] += character
        else:
            cut.append(character)
    return cut


def summary(
    name: str,
    size: int,
    parameters: str,
    quantization: str,
    context: int,
    *capabilities: str,
    modified: str = "2026-02-28T12:00:00Z",
    family: str = "llama",
) -> ModelSummary:
    details = ModelDetails(
        format="gguf",
        family=family,
        families=[family],
        parameter_size=parameters,
        quantization_level=quantization,
        context_length=context,
        embedding_length=4096,
    )
    return ModelSummary(name, name, modified, size, sha256(name.encode()).hexdigest(), details, list(capabilities))


def demo_models() -> list[ModelSummary]:
    return [
        summary("bard:latest", 4_300_000, "3.7M", "Q8_0", 512, "completion", modified="2026-03-01T11:58:00Z"),
        summary("llama3.1:8b", 4_920_000_000, "8.0B", "Q4_K_M", 131072, "completion", "tools"),
        summary("qwen2.5-coder:7b", 4_680_000_000, "7.6B", "Q4_K_M", 32768, "completion", "tools", "insert",
                modified="2026-02-10T12:00:00Z", family="qwen2"),
        summary("llava:13b-v1.6-vicuna-q4_K_M", 8_010_000_000, "13B", "Q4_K_M", 4096, "completion", "vision",
                modified="2025-12-24T12:00:00Z"),
        summary("nomic-embed-text:latest", 274_000_000, "137M", "F16", 2048, "embedding",
                modified="2025-03-01T12:00:00Z", family="nomic-bert"),
    ]  # fmt: skip


def demo_running(name: str = "llama3.1:8b", state: str = "busy") -> RunningModel:
    """A model in memory; the toy is small, and all of it on the host."""
    toy, busy, loading = name.startswith("bard"), state == "busy", state == "loading"
    known = RunningModel(
        name=name,
        model=name,
        size=0,
        digest="",
        details=ModelDetails(quantization_level="Q8_0" if toy else "Q4_K_M"),
        expires_at="2026-03-01T12:04:31Z",
        size_vram=0,
        context_length=512 if toy else 8192,
        state=state,
        load_progress=0.4 if loading else 1.0,
        slots=1 if toy else 4,
        keep_alive=300.0,
        expires_in=300.0 if busy or loading else 271.4,
    )
    if loading:
        return known
    host = DeviceShare(name="CPU", weights=0 if not toy else 4_300_000, compute=20_000_000)
    host.kv_cache = 1_600_000 if toy else 0
    gpu = DeviceShare(name="CUDA0", weights=4_920_000_000, kv_cache=1_070_000_000, compute=540_000_000)
    gpu.measured = 6_810_000_000
    return msgspec.structs.replace(
        known,
        size=25_900_000 if toy else 6_550_000_000,
        size_vram=0 if toy else 6_530_000_000,
        pid=4243 if toy else 4242,
        rss=46_000_000 if toy else 812_000_000,
        pss=31_000_000 if toy else 640_000_000,
        weights=4_300_000 if toy else 4_920_000_000,
        kv_cache=1_600_000 if toy else 1_070_000_000,
        compute=20_000_000 if toy else 560_000_000,
        context_used=96 if toy else 9210,
        context_total=512 if toy else 32768,
        slots_busy=(1 if toy else 4) if busy else 0,
        queued=1 if busy else 0,
        tokens_per_second=87.4 if busy else 0.0,
        prompt_tokens_per_second=1204.0 if busy else 0.0,
        devices=[host] if toy else [gpu, host],
    )


def demo_requests() -> list[RequestView]:
    """One that is being answered, and one that waits for a slot."""
    return [
        RequestView(
            id="a1f",
            kind="chat",
            model="llama3.1:8b",
            state="generating",
            created_at="2026-03-01T11:59:26Z",
            client="local",
            prompt_tokens=5120,
            output_tokens=1402,
            tokens_per_second=43.1,
        ),
        RequestView(
            id="a20",
            kind="generate",
            model="llama3.1:8b",
            state="waiting",
            created_at="2026-03-01T11:59:53Z",
            client="192.0.2.7",
            position=1,
            prompt_tokens=310,
        ),
    ]


def demo_devices() -> list[Device]:
    return [
        Device("CPU", "A processor", "cpu", 32_000_000_000, 18_000_000_000, utilization=12.0, temperature=48.0),
        Device(
            "CUDA0",
            "A graphics card",
            "gpu",
            24_000_000_000,
            15_000_000_000,
            "0000:c1:00.0",
            utilization=93.0,
            temperature=67.0,
            power=281.0,
        ),
    ]


def _full(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def _blobs(model: ModelSummary) -> dict[str, tuple[str, int]]:
    """What a model is made of, kind by kind: a text that the blob is known by, and its size. Copies share all,
    models of one family their licence."""
    small = {"template": (model.digest, 358), "license": (model.details.family, 11_343), "config": (model.digest, 485)}
    weights = max(0, model.size - sum(size for _, size in small.values()))
    return {"model": (f"weights of {model.digest}", weights), **small}


class DemoEngine:
    """`failures` maps a verb to the error it raises; `gate`, where set, must be released once for every piece."""

    def __init__(
        self,
        *,
        models: list[ModelSummary] | None = None,
        running: list[RunningModel] | None = None,
        answer: str = ANSWER,
        thinking: str = "",
        pace: float = 0.0,
        pulls: Sequence[PullView] = (),
    ) -> None:
        self.queue = DemoPulls(*pulls)
        self.stored = demo_models() if models is None else models
        self.in_memory = [] if running is None else running
        self.answer = answer
        self.thinking = thinking
        self.pace = pace
        self.gate: asyncio.Semaphore | None = None
        self.failures: dict[str, EngineError] = {}
        self.fails_after: int | None = None
        self.cut: dict[str, int] = {}
        """What the last chunk says was left out of the prompt."""
        self.asked: list[ChatRequest] = []
        self.running_requests: list[RequestView] = []
        self.closed_streams = 0
        self.closed = False
        self.polls = 0
        self.model_polls = 0
        self.device_polls = 0
        self.machine = demo_devices()
        self.created: list[CreateRequest] = []
        self.pushed: list[str] = []
        self.loaded: list[str] = []
        self.kept: list[tuple[str, KeepAlive]] = []
        """What `load` was told of how long models stay."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        self.closed = True

    def _check(self, verb: str) -> None:
        if verb in self.failures:
            raise self.failures[verb]

    def _find(self, name: str) -> ModelSummary:
        for model in self.stored:
            if name in (model.name, model.name.removesuffix(":latest")):
                return model
        raise ModelNotFound(name, hint="List what is there with `ollama-tui list`.")

    async def version(self) -> str:
        self._check("version")
        return "0.1.0"

    async def models(self) -> list[ModelSummary]:
        self.model_polls += 1
        self._check("models")
        return list(self.stored)

    async def show(self, name: str, *, verbose: bool = False) -> ModelInfo:
        self._check("show")
        model = self._find(name)
        return ModelInfo(
            license="MIT License\nCopyright (c) the authors",
            parameters="temperature                    0.8\ntop_k                          40",
            template="{{ .System }}\n{{ .Prompt }}",
            system="Thou art a poet." if model.name.startswith("bard") else "",
            details=model.details,
            model_info={
                "general.architecture": model.details.family,
                "general.parameter_count": 3_700_000,
                "llama.block_count": 6,
                "llama.context_length": model.details.context_length,
                "tokenizer.ggml.tokens": ["a"] * 512,
            },
            capabilities=model.capabilities,
            modified_at=model.modified_at,
        )

    async def create(self, request: CreateRequest) -> AsyncGenerator[Progress, None]:
        self._check("create")
        self.created.append(request)
        made = msgspec.structs.replace(self._find(request.from_), name=_full(request.model), model=_full(request.model))
        for tenth in range(10 if request.quantize else 0):
            await self._wait()
            yield Progress(f"quantizing weights to {request.quantize}", "sha256:0", made.size, made.size * tenth // 10)
        if request.quantize:
            made.details = msgspec.structs.replace(made.details, quantization_level=request.quantize)
        made.digest = sha256(made.name.encode()).hexdigest()
        self.stored = [made, *(other for other in self.stored if other.name != made.name)]
        yield Progress("success")

    async def pull(self, request: PullRequest) -> AsyncGenerator[TransferProgress, None]:
        self._check("pull")
        yield TransferProgress("success")

    def pulls(self) -> AsyncGenerator[list[PullView], None]:
        return self.queue.watch()

    async def pull_enqueue(self, request: PullRequest) -> PullView:
        return await self.queue.pull_enqueue(request)

    async def pull_pause(self, id: str) -> PullView:
        return await self.queue.pull_pause(id)

    async def pull_resume(self, id: str) -> PullView:
        return await self.queue.pull_resume(id)

    async def pull_cancel(self, id: str, *, remove_partials: bool = False) -> None:
        await self.queue.pull_cancel(id, remove_partials=remove_partials)

    async def pull_move(self, id: str, position: int) -> None:
        await self.queue.pull_move(id, position)

    async def transfer_limits(self) -> TransferLimits:
        return await self.queue.transfer_limits()

    async def limit_transfers(self, bandwidth: int) -> TransferLimits:
        return await self.queue.limit_transfers(bandwidth)

    async def push(self, request: PushRequest) -> AsyncGenerator[TransferProgress, None]:
        self._check("push")
        model = self._find(request.model)
        for tenth in range(10):
            await self._wait()
            yield TransferProgress("pushing", f"sha256:{model.digest}", model.size, model.size * tenth // 10, rate=5e7)
        self.pushed.append(model.name)
        yield TransferProgress("success")

    async def updates(
        self, names: Sequence[str] | None = None, *, insecure: bool = False
    ) -> AsyncGenerator[Update, None]:
        self._check("updates")
        for model in self.stored:
            if names is None or model.name in names:
                yield Update(model.name, "current", model.digest, model.digest)

    async def layers(self, name: str) -> list[LayerView]:
        self._check("layers")
        model = self._find(name)
        return [
            LayerView(
                digest=f"sha256:{sha256(text.encode()).hexdigest()}",
                kind=kind,
                size=size,
                frees=size,
                models=sorted(
                    other.name for other in self.stored if other is not model and _blobs(other)[kind][0] == text
                ),
            )
            for kind, (text, size) in _blobs(model).items()
        ]

    async def copy(self, source: str, destination: str) -> None:
        self._check("copy")
        model = self._find(source)
        name = _full(destination)
        self.stored = [other for other in self.stored if other.name != name]
        self.stored.insert(0, msgspec.structs.replace(model, name=name, model=name))

    async def delete(self, name: str) -> None:
        self._check("delete")
        self.stored.remove(self._find(name))

    async def has_blob(self, digest: str) -> bool:
        return False

    async def put_blob(self, digest: str, data: AsyncIterable[bytes]) -> bool:
        async for _ in data:
            pass
        return True

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[GenerateChunk, None]:
        self._check("generate")
        self._find(request.model)
        if not request.prompt:
            yield GenerateChunk(model=request.model, created_at="", response="", done=True, done_reason="load")
            return
        count = (request.options or {}).get("num_predict", -1)
        said = 0
        for piece in pieces(self.answer * 50 if count > 0 else self.answer):
            if said == count:
                break
            await self._wait()
            said += 1
            yield GenerateChunk(model=request.model, created_at="", response=piece, done=False)
        yield GenerateChunk(
            model=request.model,
            created_at="",
            response="",
            done=True,
            done_reason="stop" if count < 0 else "length",
            prompt_eval_count=len(request.prompt),
            prompt_eval_duration=len(request.prompt) * 1_000_000,
            eval_count=said,
            eval_duration=max(1, said - 1) * 20_000_000,
        )

    async def chat(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        self.asked.append(request)
        try:
            self._check("chat")
            self._find(request.model)
            said = 0
            for field, text in (("thinking", self.thinking), ("content", self.answer)):
                for piece in pieces(text):
                    if said == self.fails_after:
                        raise self.failures["later"]
                    await self._wait()
                    said += 1
                    message = Message("assistant", piece if field == "content" else "")
                    message.thinking = piece if field == "thinking" else ""
                    yield ChatChunk(model=request.model, created_at="", message=message, done=False)
            yield ChatChunk(
                model=request.model,
                created_at="",
                message=Message("assistant"),
                done=True,
                done_reason="stop",
                total_duration=2_500_000_000,
                load_duration=400_000_000,
                prompt_eval_count=26,
                prompt_eval_duration=50_000_000,
                eval_count=84,
                eval_duration=2_000_000_000,
                **self.cut,
            )
        finally:
            self.closed_streams += 1

    async def _wait(self) -> None:
        if self.gate is not None:
            await self.gate.acquire()
        await asyncio.sleep(self.pace)

    async def embed(self, request: EmbedRequest) -> EmbedResponse:
        self._check("embed")
        texts = [request.input] if isinstance(request.input, str) else request.input or []
        return EmbedResponse(model=request.model, embeddings=[[0.6, 0.8] for _ in texts])

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        self._check("rerank")
        results = [RankedDocument(index, -float(index)) for index in range(len(request.documents))]
        return RerankResponse(model=request.model, results=results)

    async def tokenize(self, request: TokenizeRequest) -> TokenizeResponse:
        self._check("tokenize")
        return TokenizeResponse(model=request.model, tokens=[ord(letter) for letter in request.content])

    async def detokenize(self, request: DetokenizeRequest) -> DetokenizeResponse:
        self._check("detokenize")
        return DetokenizeResponse(model=request.model, content="".join(map(chr, request.tokens)))

    async def count_tokens(self, request: ChatRequest) -> int:
        self._check("count_tokens")
        return sum(len(message.content) for message in request.messages)

    async def running(self) -> list[RunningModel]:
        self.polls += 1
        self._check("running")
        return list(self.in_memory)

    async def devices(self) -> list[Device]:
        self.device_polls += 1
        self._check("devices")
        return list(self.machine)

    async def plan(self, request: PlanRequest) -> MemoryPlan:
        self._check("plan")
        model = self._find(request.model)
        return MemoryPlan(model=request.model, fit="cpu", context_length=4096, slots=4, size=model.size * 11 // 10)

    async def requests(self) -> list[RequestView]:
        self._check("requests")
        return list(self.running_requests)

    async def cancel(self, id: str) -> None:
        self._check("cancel")
        if id not in [request.id for request in self.running_requests]:
            raise NotFound(f"there is no request '{id}'")
        self.running_requests = [request for request in self.running_requests if request.id != id]

    async def pin(self, name: str, *, pinned: bool = True) -> None:
        self._check("pin")
        self._find(name)
        for one in self.in_memory:
            if one.name == name:
                one.pinned = pinned

    async def load(self, name: str, *, keep_alive: KeepAlive = None) -> None:
        self._check("load")
        self._find(name)
        if keep_alive is None:
            self.loaded.append(name)
        else:
            self.kept.append((name, keep_alive))

    async def unload(self, name: str) -> None:
        self._check("unload")
        self._find(name)
        self.in_memory = [one for one in self.in_memory if one.name != name]


def main() -> None:
    """The workstation on the demo engine, with a store in a temporary folder; for looking at it."""
    import tempfile
    from pathlib import Path

    from ollama_engine.settings import Settings
    from ollama_tui.app import Workstation
    from ollama_tui.chats import ChatStore

    engine = DemoEngine(running=[demo_running(), demo_running("bard:latest", "idle")], pace=0.02)
    with tempfile.TemporaryDirectory() as folder:
        chats = ChatStore(Path(folder) / "chats.db")
        memory = 16_000_000_000
        Workstation(
            engine,
            Settings(tour=False),
            chats=chats,
            host_label="demo",
            clock=lambda: NOW,
            machine_memory=lambda: memory,
        ).run()


if __name__ == "__main__":
    main()
