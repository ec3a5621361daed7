"""Whether a LoRA adapter goes with a model, told from both headers before anything is loaded.

`create` asks, so that no model is made of files that do not belong together, and so does the catalog before a load, for
models that were pulled. llama.cpp checks most of this when it loads an adapter; what it does not would end the runner.
"""

from __future__ import annotations

from collections.abc import Sized

from ollama_engine.errors import InvalidRequest
from ollama_engine.gguf import Header, Tensor

_CONVERT = "Convert it with llama.cpp's convert_lora_to_gguf.py from the adapter of this very model."
_EMBEDDINGS = "token_embd.weight"
_OUTPUT = "output.weight"
_PASSED_OVER = "_norm.weight"
"""The end of the names of whole tensors in an adapter, which llama.cpp does not use."""


def check_adapter(name: str, adapter: Header, model: Header) -> None:
    """InvalidRequest, with the tensor, where the adapter `name` was not made for `model`."""
    architecture, wanted = adapter.text("general.architecture"), model.text("general.architecture")
    if architecture != wanted:
        raise InvalidRequest(
            f"the adapter {name} is for {architecture} models, the model is of {wanted}",
            hint="Use the adapter with the model it was trained on.",
        )
    kind = adapter.text("adapter.type")
    if kind != "lora":
        raise InvalidRequest(f"the adapter {name} is of type {kind!a}, not lora", hint=_CONVERT)
    if "adapter.alora.invocation_tokens" in adapter.metadata:
        raise InvalidRequest(
            f"the adapter {name} is an activated one (aLoRA), which begins to count in the middle of a prompt",
            hint="Only plain LoRA adapters can be used.",
        )
    pairs = _pairs(name, adapter)
    if not pairs:
        raise InvalidRequest(f"the adapter {name} has no lora_a and lora_b tensors", hint=_CONVERT)
    if _EMBEDDINGS in pairs and _reads_and_writes_by_embeddings(model):
        raise InvalidRequest(
            f"the adapter {name} changes {_EMBEDDINGS}, by which the model also chooses its answer (tied embeddings)",
            hint="llama.cpp cannot run that: merge the adapter into the weights before they are converted.",
        )
    tensors = {tensor.name: tensor for tensor in model.tensors}
    for weight, (a, b) in pairs.items():
        if weight not in tensors:
            raise InvalidRequest(f"the adapter {name} changes {weight}, which the model does not have", hint=_CONVERT)
        if not _fits(weight, a, b, tensors[weight]):
            raise InvalidRequest(
                f"the adapter {name} does not fit the model: {weight} is {_shape(tensors[weight])} there, "
                f"lora_a {_shape(a)} and lora_b {_shape(b)} in the adapter",
                hint=_CONVERT,
            )


def check_scales(scales: Sized, adapters: int) -> None:
    """InvalidRequest where there are more values of adapter_scale than adapters."""
    if len(scales) > adapters:
        raise InvalidRequest(
            f"{len(scales)} adapter_scale for {adapters} adapters",
            hint="Give one adapter_scale for each ADAPTER, in the same order.",
        )


def _pairs(name: str, adapter: Header) -> dict[str, tuple[Tensor, Tensor]]:
    """Name of a weight -> its lora_a and lora_b."""
    halves: dict[str, dict[str, Tensor]] = {}
    for tensor in adapter.tensors:
        weight, _, half = tensor.name.rpartition(".")
        if half in ("lora_a", "lora_b"):
            halves.setdefault(weight, {})[half] = tensor
        elif not tensor.name.endswith(_PASSED_OVER):
            raise InvalidRequest(
                f"the adapter {name} has a tensor {tensor.name}, which is no half of a pair", hint=_CONVERT
            )
    for weight, found in halves.items():
        if len(found) == 1:
            raise InvalidRequest(f"the adapter {name} has only {next(iter(found))} of {weight}", hint=_CONVERT)
    return {weight: (found["lora_a"], found["lora_b"]) for weight, found in halves.items()}


def _fits(weight: str, a: Tensor, b: Tensor, model: Tensor) -> bool:
    """As llama-adapter.cpp: A leads from the rows of the weight to the rank, B from there to its columns; both have a
    layer for each expert where the weight has."""
    (a0, a1), (b0, b1), (width, height) = _sides(a), _sides(b), _sides(model)
    if weight == _EMBEDDINGS:  # read by row, so A and B change places
        return width == b1 and height == a1 and a0 == b0
    return width == a0 and height == b1 and a1 == b0 and a.shape[2:] == b.shape[2:] == model.shape[2:]


def _reads_and_writes_by_embeddings(model: Header) -> bool:
    """Whether the output has no weights of its own (tied embeddings); llama.cpp dies of an adapter for them then."""
    is_causal = model.flag(f"{model.text('general.architecture')}.attention.causal") is not False
    return is_causal and all(tensor.name != _OUTPUT for tensor in model.tensors)


def _sides(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[0], tensor.shape[1] if len(tensor.shape) > 1 else 1


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
