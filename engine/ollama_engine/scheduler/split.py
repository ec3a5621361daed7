"""How the layers of a model are spread over GPUs and RAM.

Layers go to the GPUs from the last one backwards (llama.cpp's `n_gpu_layers`), the output layer counted as one; what
has no room stays in RAM, and so do the embeddings of the tokens. Each GPU takes neighbouring layers. Where a model has
experts and not all of it fits, the experts of the first layers stay in RAM before any whole layer does: they are most
of its bytes, and the least of its work for one token.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ollama_engine.scheduler.estimate import Estimate

COPIES = 4
"""llama.cpp keeps the inputs so often where several GPUs work on several batches at a time."""


@dataclass(frozen=True)
class Room:
    """Bytes that a model may take of a GPU."""

    name: str
    size: int


@dataclass(frozen=True)
class Wishes:
    """What somebody said about where a model is to lie; None leaves it to us.

    Attributes:
        gpu_layers: layers on GPUs, as many as there are or fewer.
        cpu_moe: layers whose experts stay in RAM, from the first one on; negative: all.
        parts: proportions of the GPUs, in their order.
        kv_offload: whether the KV cache lies where its layers do.
        by_rows: matrices are split over the GPUs, not layers.
        spread: over all GPUs, though fewer would do.
    """

    gpu_layers: int | None = None
    cpu_moe: int | None = None
    parts: tuple[float, ...] = ()
    kv_offload: bool = True
    by_rows: bool = False
    spread: bool = False


@dataclass(frozen=True)
class Share:
    """What lies on one device, bytes. `layers` counts the output layer as one."""

    layers: int = 0
    weights: int = 0
    cache: int = 0
    compute: int = 0
    other: int = 0

    @property
    def size(self) -> int:
        return self.weights + self.cache + self.compute + self.other


@dataclass(frozen=True)
class Split:
    """Where everything lies. `gpus` in the order in which they take layers, those that take none left out.

    `cpu_moe`: layers whose experts stay in RAM. `fits`: whether each GPU has what is needed of it.
    """

    cpu: Share
    gpus: dict[str, Share] = field(default_factory=dict)
    cpu_moe: int = 0
    fits: bool = True
    process: int = 0
    """Of what lies in RAM, the runner itself."""

    @property
    def gpu_layers(self) -> int:
        return sum(share.layers for share in self.gpus.values())

    @property
    def size(self) -> int:
        return self.cpu.size + sum(share.size for share in self.gpus.values())


def split(need: Estimate, rooms: Sequence[Room], wishes: Wishes = Wishes()) -> Split:
    """Spread a model over GPUs that have so much room, and RAM. As many layers as can be lie on GPUs."""
    if not rooms or wishes.gpu_layers == 0:
        return _lay(need, wishes, (), (), 0)
    return _Search(need, rooms, wishes).best()


class _Search:
    def __init__(self, need: Estimate, rooms: Sequence[Room], wishes: Wishes) -> None:
        self._need = need
        self._rooms = rooms
        self._wishes = wishes
        self._layers = need.memory.layer_count

    def best(self) -> Split:
        layers, wishes = self._layers, self._wishes
        most = layers if wishes.gpu_layers is None else min(wishes.gpu_layers, layers)
        given = wishes.cpu_moe
        fixed = 0 if given is None else layers if given < 0 else min(given, layers)
        if found := self._whole(most, fixed):
            return found
        if wishes.gpu_layers is not None:
            return self._as_told(most, fixed)
        if given is None and self._need.memory.has_experts:
            if found := self._with_experts_in_ram(most):
                return found
            fixed = layers
        for count in range(most - 1, 0, -1):
            if found := self._try(self._rooms, count, fixed):
                return found
        return _lay(self._need, wishes, (), (), 0)

    def _whole(self, count: int, cpu_moe: int) -> Split | None:
        """On one GPU, the one with the most room; else on as few as will do."""
        if self._wishes.spread or self._wishes.parts or self._wishes.by_rows:
            return self._try(self._rooms, count, cpu_moe)
        by_room = sorted(self._rooms, key=lambda room: -room.size)
        for number in range(1, len(self._rooms) + 1):
            chosen = by_room[:number]
            if found := self._try([room for room in self._rooms if room in chosen], count, cpu_moe):
                return found
        return None

    def _with_experts_in_ram(self, count: int) -> Split | None:
        """All layers on GPUs, and as many experts as there is room for."""
        if self._try(self._rooms, count, self._layers) is None:
            return None
        low, high = 0, self._layers
        while high - low > 1:
            middle = (low + high) // 2
            if self._try(self._rooms, count, middle):
                high = middle
            else:
                low = middle
        return self._try(self._rooms, count, high)

    def _try(self, rooms: Sequence[Room], count: int, cpu_moe: int) -> Split | None:
        counts = self._fill(rooms, count, cpu_moe)
        if counts is None:
            return None
        found = _lay(self._need, self._wishes, rooms, counts, cpu_moe)
        return found if _has_room(found, rooms) else None

    def _as_told(self, count: int, cpu_moe: int) -> Split:
        """So many layers were asked for, and do not fit by estimate: they are spread by room, as llama.cpp would."""
        parts = self._wishes.parts or tuple(float(max(1, room.size)) for room in self._rooms)
        found = _lay(self._need, self._wishes, self._rooms, by_parts(parts, count), cpu_moe)
        return replace(found, fits=_has_room(found, self._rooms))

    def _fill(self, rooms: Sequence[Room], count: int, cpu_moe: int) -> list[int] | None:
        """How many of the last `count` layers each of `rooms` takes; None where they have no room for all."""
        if self._wishes.parts or self._wishes.by_rows:
            parts = self._wishes.parts[: len(rooms)] or tuple(float(max(1, room.size)) for room in rooms)
            return by_parts(parts, count)
        sizes = _layer_sizes(self._need, self._wishes, cpu_moe)[self._layers - count :]
        ends = [0, *itertools.accumulate(sizes)]
        taken: list[int] = []
        start = 0
        for number, room in enumerate(rooms):
            free = room.size - _overhead(self._need, self._wishes, rooms, count, cpu_moe, first=number == 0)
            end = start
            while end < count and ends[end + 1] - ends[start] <= free:
                end += 1
            taken.append(end - start)
            start = end
        return taken if start == count else None


def by_parts(parts: Sequence[float], count: int) -> list[int]:
    """Layers of each device where llama.cpp spreads `count` of them in these proportions (load_tensors)."""
    total = sum(parts) or 1.0
    ends = [end / total for end in itertools.accumulate(parts)]
    taken = [0] * len(parts)
    for layer in range(count):
        at = layer / count
        taken[next((number for number, end in enumerate(ends) if end > at), len(parts) - 1)] += 1
    return taken


def _layer_sizes(need: Estimate, wishes: Wishes, cpu_moe: int) -> list[int]:
    """What each layer takes of the GPU that it lies on, the output layer last."""
    sizes = [
        layer.dense + (0 if number < cpu_moe else layer.experts) + (cache if wishes.kv_offload else 0)
        for number, (layer, cache) in enumerate(zip(need.memory.layers, _cache(need), strict=True))
    ]
    return [*sizes, need.memory.output]


def _cache(need: Estimate) -> Sequence[int]:
    return need.cache or [0] * len(need.memory.layers)


def _overhead(need: Estimate, wishes: Wishes, rooms: Sequence[Room], count: int, cpu_moe: int, *, first: bool) -> int:
    """What a GPU needs beside its layers. The first one has projectors, and works for the CPU on long prompts: it is
    sent the matrices that lie in RAM, one at a time."""
    layers = need.memory.layers
    size = need.compute.layers
    whole = count > len(layers)
    if len(rooms) > 1 and whole and not cpu_moe and wishes.kv_offload and not wishes.by_rows:
        size += (COPIES - 1) * need.compute.inputs
    if first:
        in_ram = [layer.largest for layer in layers[: len(layers) + 1 - count]]
        in_ram += [layer.largest_expert for number, layer in enumerate(layers) if number < cpu_moe]
        in_ram += [layer.largest_expert for layer in layers[: len(layers) + 1 - count]]
        size += max(in_ram, default=0) + need.extra_weights + need.extra_compute
    return size


def _lay(need: Estimate, wishes: Wishes, rooms: Sequence[Room], counts: Sequence[int], cpu_moe: int) -> Split:
    """What lies where, if each of `rooms` takes so many layers."""
    layers, cache = need.memory.layers, _cache(need)
    count = sum(counts)
    first_on_gpu = len(layers) + 1 - count
    gpus: dict[str, Share] = {}
    start = first_on_gpu
    used = [(room, taken) for room, taken in zip(rooms, counts, strict=True) if taken]
    for number, (room, taken) in enumerate(used):
        mine = range(start, min(start + taken, len(layers)))
        weights = sum(layers[i].dense + (0 if i < cpu_moe else layers[i].experts) for i in mine)
        weights += need.memory.output if start + taken > len(layers) else 0
        weights += need.extra_weights if number == 0 else 0
        compute = _overhead(need, wishes, [room for room, _ in used], count, cpu_moe, first=number == 0)
        compute -= need.extra_weights if number == 0 else 0
        kept = sum(cache[i] for i in mine) if wishes.kv_offload else 0
        gpus[room.name] = Share(taken, weights, kept, compute)
        start += taken
    if wishes.by_rows and len(gpus) > 1:
        gpus = _by_rows(gpus)
    if not gpus:
        weights = need.memory.weights + need.extra_weights
        compute = need.compute.layers + need.extra_compute
        share = Share(len(layers) + 1, weights, sum(cache), compute, need.fixed)
        return Split(share, process=need.process)
    whole = count > len(layers)
    weights = need.memory.input + sum(layer.dense + layer.experts for layer in layers[:first_on_gpu])
    weights += sum(layer.experts for number, layer in enumerate(layers) if first_on_gpu <= number < cpu_moe)
    kept = sum(cache[:first_on_gpu]) if wishes.kv_offload else sum(cache)
    computes = not whole or cpu_moe or not wishes.kv_offload
    compute = need.compute.layers if computes else need.compute.inputs
    cpu = Share(len(layers) + 1 - count, weights, kept, compute, need.fixed)
    return Split(cpu, gpus, min(cpu_moe, len(layers)), process=need.process)


def _by_rows(gpus: dict[str, Share]) -> dict[str, Share]:
    """Each has its part of every matrix; the first has the KV cache."""
    first, *_ = gpus
    cache = sum(share.cache for share in gpus.values())
    return {
        name: Share(share.layers, share.weights, cache if name == first else 0, share.compute)
        for name, share in gpus.items()
    }


def _has_room(found: Split, rooms: Sequence[Room]) -> bool:
    return all(found.gpus[room.name].size <= room.size for room in rooms if room.name in found.gpus)
