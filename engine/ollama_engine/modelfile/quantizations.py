"""The types that `create` can quantize to, and what is known of each before llama.cpp is asked (spec §5.3).

Numbers are llama.cpp's `enum llama_ftype`; the names are those of its own llama-quantize and of Ollama.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ollama_engine.errors import InvalidRequest

FULL_PRECISION = ("F32", "F16", "BF16")
"""What is quantized from; anything else has lost something already."""


@dataclass(frozen=True)
class Quantization:
    """`needs_imatrix`: without an importance matrix llama.cpp refuses, because the result would be of no use."""

    name: str
    file_type: int
    needs_imatrix: bool = False


QUANTIZATIONS = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Quantization("F32", 0),
            Quantization("F16", 1),
            Quantization("BF16", 32),
            Quantization("Q8_0", 7),
            Quantization("Q6_K", 18),
            Quantization("Q5_K_M", 17),
            Quantization("Q5_K_S", 16),
            Quantization("Q5_1", 9),
            Quantization("Q5_0", 8),
            Quantization("Q4_K_M", 15),
            Quantization("Q4_K_S", 14),
            Quantization("Q4_1", 3),
            Quantization("Q4_0", 2),
            Quantization("MXFP4_MOE", 38),
            Quantization("IQ4_NL", 25),
            Quantization("IQ4_XS", 30),
            Quantization("Q3_K_L", 13),
            Quantization("Q3_K_M", 12),
            Quantization("Q3_K_S", 11),
            Quantization("IQ3_M", 27),
            Quantization("IQ3_S", 26),
            Quantization("IQ3_XS", 22, needs_imatrix=True),
            Quantization("IQ3_XXS", 23, needs_imatrix=True),
            Quantization("Q2_K", 10),
            Quantization("Q2_K_S", 21, needs_imatrix=True),
            Quantization("IQ2_M", 29, needs_imatrix=True),
            Quantization("IQ2_S", 28, needs_imatrix=True),
            Quantization("IQ2_XS", 20, needs_imatrix=True),
            Quantization("IQ2_XXS", 19, needs_imatrix=True),
            Quantization("TQ2_0", 37),
            Quantization("TQ1_0", 36),
            Quantization("Q2_0", 41),
            Quantization("IQ1_M", 31, needs_imatrix=True),
            Quantization("IQ1_S", 24, needs_imatrix=True),
            Quantization("Q1_0", 40),
        )
    }
)
"""From the largest to the smallest."""

_ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "MXFP4": "MXFP4_MOE"}

PINNED = MappingProxyType(
    {
        "qwen35": (("eh_proj", "Q8_0"),),
        "qwen35moe": (("eh_proj", "Q8_0"),),
        "gemma3n": (("per_layer_token_embd", "F16"),),
        "deepseek2": (("attn_k_b", "Q8_0"), ("attn_v_b", "Q8_0"), ("attn_kv_b", "Q8_0"), ("attn_kv_a_mqa", "Q8_0")),
        "glm4": (("^token_embd", "F16"), ("^output\\.weight", "F16")),
    }
)
"""Architecture -> tensors (regular expressions) that keep a finer type at Q4_K_S and Q4_K_M, as Ollama has it."""


@dataclass(frozen=True)
class Quantized:
    """Digests of what a quantization has made: of the model's weights, of the draft's. Empty where nothing was."""

    model: str = ""
    draft: str = ""


NOTHING_QUANTIZED = Quantized()


def find_quantization(name: str) -> Quantization:
    """The type of that name, in any case; InvalidRequest lists them."""
    upper = name.upper()
    found = QUANTIZATIONS.get(_ALIASES.get(upper, upper))
    if found is None:
        raise InvalidRequest(
            f"unsupported quantization type {name} - supported types are {', '.join(QUANTIZATIONS)}",
            hint="Q4_K_M is the usual choice, Q8_0 the one that loses nothing to speak of.",
        )
    return found


def check_quantization(name: str, *, imatrix: bool) -> Quantization:
    """`find_quantization`; InvalidRequest also where the type needs an importance matrix and there is none."""
    found = find_quantization(name)
    if found.needs_imatrix and not imatrix:
        raise InvalidRequest(
            f"quantization type {found.name} needs an importance matrix",
            hint="Give one with --imatrix FILE (made by llama.cpp's llama-imatrix), or take a larger type.",
        )
    return found
