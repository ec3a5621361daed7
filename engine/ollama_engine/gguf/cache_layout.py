"""What each layer of a model keeps of a sequence: a key and a value for every token, for the last ones only, or one
state for all of them. As llama.cpp decides it (llama-model.cpp, create_memory; models/*.cpp, load_arch_hparams).

An architecture that is not named here keeps a key and a value for every token in every layer.
"""

from __future__ import annotations

from dataclasses import dataclass

from ollama_engine.gguf.header import ArrayRef, Header
from ollama_engine.gguf.layer_values import at_layer, layer_flags, layer_numbers

FLOAT_BYTES = 4
"""Recurrent states are F32."""


@dataclass(frozen=True)
class LayerCache:
    """`key` and `value`: numbers that one token takes; 0 where the layer keeps none of its own. `indexer`: numbers of a
    further key, by which sparse attention chooses. `windowed`: only the last tokens are kept. `state`: bytes for each
    sequence, however long it is."""

    key: int = 0
    value: int = 0
    indexer: int = 0
    windowed: bool = False
    state: int = 0


@dataclass(frozen=True)
class CacheLayout:
    """`window`: tokens that windowed layers look back."""

    layers: tuple[LayerCache, ...] = ()
    window: int = 0

    @property
    def is_recurrent(self) -> bool:
        """Whether some layer keeps a state."""
        return any(layer.state for layer in self.layers)


@dataclass(frozen=True)
class Window:
    """How an architecture uses sliding windows: all but one in `every` layers, the full one first or last of them.

    `size`: where the file does not say; `fixed` counts whatever it says. `needs_size`: without a size in the file there
    are no windows. `listed`: the file has a list with a flag for each layer.
    """

    every: int = 0
    full_first: bool = False
    size: int = 0
    fixed: int = 0
    needs_size: bool = False
    listed: bool = False


WINDOWS = {
    "afmoe": Window(4, needs_size=True),
    "cohere2": Window(4),
    "cohere2moe": Window(4, full_first=True),
    "dots3note": Window(listed=True),
    "exaone-moe": Window(4, size=128),
    "exaone4": Window(4, size=4096),
    "gemma-embedding": Window(6),
    "gemma2": Window(2, size=4096),
    "gemma3": Window(6, needs_size=True),
    "gemma3n": Window(5),
    "gemma4": Window(listed=True),
    "gpt-oss": Window(2),
    "granite_swa": Window(listed=True),
    "laguna": Window(4, full_first=True, needs_size=True),
    "lfm2": Window(1, needs_size=True),
    "llama4": Window(4, fixed=8192),
    "maple": Window(listed=True),
    "mellum": Window(4, needs_size=True),
    "mimo2": Window(listed=True),
    "modern-bert": Window(3, full_first=True, needs_size=True),
    "muse-glimmer": Window(4),
    "olmo2": Window(4, needs_size=True),
    "plamo3": Window(8, needs_size=True),
    "smallthinker": Window(4, full_first=True, fixed=4096, needs_size=True),
    "spark2_5": Window(listed=True),
    "step35": Window(listed=True),
}
EXAONE4_WINDOWED_LAYERS = 64
"""Only the EXAONE 4 of so many layers has windows."""

# fmt: off
NO_CACHE = frozenset(
    (
        "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3",
        "eurobert", "gemma-embedding", "dream", "llada", "llada-moe", "rnd1", "wavtokenizer-dec", "t5encoder",
    )
)
# fmt: on
"""They look at a whole input at once and keep nothing."""

RECURRENT = frozenset(["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"])
# fmt: off
HYBRID_BY_HEADS = frozenset(
    (
        "bailingmoe3", "glm5-next", "granitehybrid", "jamba", "kimi-k3", "kimi-linear", "lfm2", "lfm2moe",
        "nemotron_h", "nemotron_h_moe", "plamo2",
    )
)
# fmt: on
"""A layer without KV heads is a recurrent one."""
HYBRID_BY_INTERVAL = {"minimax-01": 8, "qwen35": 4, "qwen35moe": 4, "qwen3next": 4, "qwen4exp": 4}
"""Every so many layers one attends, unless the file says another interval or has a list."""
BOTH = frozenset({"falcon-h1"})
"""Each layer attends and has a state."""
HEADS_OR_FEED_FORWARD = frozenset({"nemotron_h", "nemotron_h_moe"})
"""A layer is either attention, or a state, or a feed-forward network, which keeps nothing."""
INDEXED = frozenset(["deepseek32", "dots3note", "glm-dsa", "glm5-next", "hy_v4", "qwen4exp"])
"""They keep an indexer's key beside the latent one."""
OWN_CACHE_LAYERS = {"gemma3n": 20}
"""Layers that keep keys and values; the ones behind them use theirs."""


def cache_layout(header: Header) -> CacheLayout:
    """What the layers of the model keep.

    Raises:
        InvalidGGUF: a key has a value of the wrong kind.
    """
    architecture = header.text("general.architecture")
    keys = _Keys(header, architecture)
    blocks = keys.number("block_count")
    if architecture in NO_CACHE or blocks > len(header.tensors):  # a block has a tensor at least
        return CacheLayout(window=_window_size(keys, blocks))
    layers = blocks - min(blocks, keys.number("nextn_predict_layers")) or blocks
    window = _window_size(keys, layers)
    windowed = _windowed(keys, layers) if window else ()
    recurrent = _recurrent(keys, layers)
    state = _state_bytes(keys)
    own = _own_layers(keys, layers)
    found: list[LayerCache] = []
    for layer in range(blocks):
        has_state = architecture in BOTH or recurrent[layer : layer + 1] == (True,)
        attends = layer < min(layers, own) and (not has_state or architecture in BOTH)
        if architecture in HEADS_OR_FEED_FORWARD and at_layer(keys.numbers("feed_forward_length"), layer):
            attends = has_state = False
        is_windowed = windowed[layer : layer + 1] == (True,)
        cache = _attention(keys, layer, windowed=is_windowed) if attends else LayerCache()
        found.append(
            LayerCache(cache.key, cache.value, cache.indexer, is_windowed and attends, state if has_state else 0)
        )
    return CacheLayout(tuple(found), window)


class _Keys:
    """A header's keys of its architecture."""

    def __init__(self, header: Header, architecture: str) -> None:
        self.header = header
        self.architecture = architecture
        self._numbers: dict[str, tuple[int, ...]] = {}

    def number(self, key: str, default: int = 0) -> int:
        """A number; of a list the first."""
        if isinstance(self.header.metadata.get(self._name(key)), ArrayRef):
            return at_layer(self.numbers(key)[:1], 0, default)
        return self.header.integer(self._name(key), default)

    def numbers(self, key: str) -> tuple[int, ...]:
        if key not in self._numbers:
            self._numbers[key] = layer_numbers(self.header, self._name(key))
        return self._numbers[key]

    def flags(self, key: str) -> tuple[bool, ...]:
        return layer_flags(self.header, self._name(key))

    def _name(self, key: str) -> str:
        return f"{self.architecture}.{key}"


def _window_size(keys: _Keys, layers: int) -> int:
    window = WINDOWS.get(keys.architecture)
    said = keys.number("attention.sliding_window", -1)
    if window is None or said == 0 or (said < 0 and window.needs_size):
        return 0
    if keys.architecture == "exaone4" and layers != EXAONE4_WINDOWED_LAYERS:
        return 0
    return window.fixed or (said if said > 0 else window.size)


def _windowed(keys: _Keys, layers: int) -> tuple[bool, ...]:
    window = WINDOWS[keys.architecture]
    listed = keys.flags("attention.sliding_window_pattern")
    if listed or window.listed:
        return listed
    every = keys.number("attention.sliding_window_pattern", window.every) if window.every > 1 else window.every
    if every <= 1:  # of a pattern of 0 or 1 llama.cpp makes all layers, or none, windowed
        return (every == 0 or keys.architecture == "lfm2",) * layers
    full = 0 if window.full_first else every - 1
    return tuple(layer % every != full for layer in range(layers))


def _recurrent(keys: _Keys, layers: int) -> tuple[bool, ...]:
    architecture = keys.architecture
    if architecture in RECURRENT:
        return (True,) * layers
    if architecture in HYBRID_BY_HEADS:
        heads = keys.numbers("attention.head_count_kv") or keys.numbers("attention.head_count")
        return tuple(not at_layer(heads, layer) for layer in range(layers))
    if architecture in HYBRID_BY_INTERVAL:
        every = max(1, keys.number("full_attention_interval", HYBRID_BY_INTERVAL[architecture]))
        listed = keys.flags("attention.recurrent_layers")
        return listed or tuple((layer + 1) % every != 0 for layer in range(layers))
    return ()


def _own_layers(keys: _Keys, layers: int) -> int:
    if keys.architecture == "gemma4":
        return layers - min(layers, keys.number("attention.shared_kv_layers"))
    return OWN_CACHE_LAYERS.get(keys.architecture, layers)


def _attention(keys: _Keys, layer: int, *, windowed: bool) -> LayerCache:
    heads = keys.numbers("attention.head_count_kv") or keys.numbers("attention.head_count")
    count = at_layer(heads, layer)
    head = keys.number("embedding_length") // max(1, keys.number("attention.head_count"))
    key = keys.number("attention.key_length", head)
    value = keys.number("attention.value_length", head)
    if windowed:
        key = keys.number("attention.key_length_swa", key)
        value = keys.number("attention.value_length_swa", value)
    latent = keys.number("attention.key_length_mla") and keys.number("attention.value_length_mla")
    if latent:  # one compressed row serves as key and as value
        value = 0
    indexer = 0
    if keys.architecture in INDEXED and keys.number("attention.indexer.top_k"):
        types = keys.flags("attention.indexer.types")
        has_indexer = not types or types[layer : layer + 1] == (True,)
        parts = 3 if keys.number("attention.indexer.kpool") else 1
        indexer = keys.number("attention.indexer.key_length") * parts if has_indexer else 0
    return LayerCache(key * count, value * count, indexer)


def _state_bytes(keys: _Keys) -> int:
    """Of one recurrent layer and one sequence (llama_hparams::n_embd_r and n_embd_s)."""
    width = keys.number("embedding_length")
    heads = keys.number("attention.head_count")
    conv = max(0, keys.number("ssm.conv_kernel") - 1)
    inner, state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    if head := keys.number("wkv.head_size"):
        numbers = keys.number("token_shift_count", 2) * width + width * head
    elif cached := keys.number("shortconv.l_cache"):
        numbers = width * (cached - 1)
    elif head := keys.number("kda.head_dim"):
        numbers = 3 * (conv or 3) * heads * head + head * head * heads
    elif keys.architecture == "minimax-01":
        head = keys.number("attention.key_length", width // max(1, heads))
        numbers = head * head * heads
    else:
        numbers = conv * (inner + 2 * keys.number("ssm.group_count") * state) + state * inner
    return numbers * FLOAT_BYTES
