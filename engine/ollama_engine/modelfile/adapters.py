"""Whether a LoRA adapter goes with a model, told from both headers before anything is loaded.

llama.cpp checks the same when it loads the adapter; a model that is made of files that do not belong together would be
refused only when it is used.
"""

from __future__ import annotations

from ollama_engine.errors import InvalidRequest
from ollama_engine.gguf import Header, Tensor

_CONVERT = "Convert it with llama.cpp's convert_lora_to_gguf.py from the adapter of this very model."
_EMBEDDINGS = "token_embd.weight"


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
    pairs = _pairs(name, adapter)
    if not pairs:
        raise InvalidRequest(f"the adapter {name} has no lora_a and lora_b tensors", hint=_CONVERT)
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


def _pairs(name: str, adapter: Header) -> dict[str, tuple[Tensor, Tensor]]:
    """Name of a weight -> its lora_a and lora_b."""
    halves: dict[str, dict[str, Tensor]] = {}
    for tensor in adapter.tensors:
        weight, _, half = tensor.name.rpartition(".")
        if half in ("lora_a", "lora_b"):
            halves.setdefault(weight, {})[half] = tensor
    for weight, found in halves.items():
        if len(found) == 1:
            raise InvalidRequest(f"the adapter {name} has only {next(iter(found))} of {weight}", hint=_CONVERT)
    return {weight: (found["lora_a"], found["lora_b"]) for weight, found in halves.items()}


def _fits(weight: str, a: Tensor, b: Tensor, model: Tensor) -> bool:
    """As llama-adapter.cpp: A leads from the rows of the weight to the rank, B from there to its columns."""
    (a0, a1), (b0, b1), (width, height) = _sides(a), _sides(b), _sides(model)
    if weight == _EMBEDDINGS:  # read by row, so A and B change places
        return width == b1 and height == a1
    return width == a0 and height == b1 and a1 == b0


def _sides(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[0], tensor.shape[1] if len(tensor.shape) > 1 else 1


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
