"""The sections of `show` (spec §3)."""

from __future__ import annotations

from ollama_engine.types import ModelDetails, ModelInfo, TensorInfo
from ollama_tui.cli.model_card import card

LLAMA = ModelInfo(
    details=ModelDetails(family="llama", parameter_size="8.0B", quantization_level="Q4_K_M"),
    model_info={
        "general.architecture": "llama",
        "general.parameter_count": 8_030_261_248,
        "llama.context_length": 131072,
        "llama.embedding_length": 4096,
        "llama.rope.freq_base": 500000.0,
        "tokenizer.ggml.tokens": [f"token{i}" for i in range(100)],
        "tokenizer.ggml.add_bos_token": True,
    },
    capabilities=["completion", "tools"],
    parameters='num_ctx                        4096\nstop                           "<|end of turn|>"',
    system="One.\n\nTwo.\nThree.\n",
    license="MIT License\nCopyright somebody",
    tensors=[TensorInfo("output.weight", "Q6_K", [4096, 128256])],
)


def test_sections_follow_each_other_with_what_the_model_has() -> None:
    assert card(LLAMA) == (
        "  Model\n"
        "    architecture        llama\n"
        "    parameters          8.0B\n"
        "    context length      131072\n"
        "    embedding length    4096\n"
        "    quantization        Q4_K_M\n"
        "\n"
        "  Capabilities\n"
        "    completion\n"
        "    tools\n"
        "\n"
        "  Parameters\n"
        "    num_ctx    4096\n"
        '    stop       "<|end of turn|>"\n'
        "\n"
        "  System\n"
        "    One.\n"
        "    Two.\n"
        "    ...\n"
        "\n"
        "  License\n"
        "    MIT License\n"
        "    Copyright somebody\n"
        "\n"
    )


def test_verbose_adds_metadata_with_long_arrays_counted_and_tensors() -> None:
    text = card(LLAMA, verbose=True)
    assert "\n  Metadata\n    general.architecture" in text
    assert "tokenizer.ggml.tokens           [token0, token1, token2, token3, token4, ...+95 more]\n" in text
    assert "tokenizer.ggml.add_bos_token    true\n" in text
    assert "  Tensors\n    output.weight    Q6_K    [4096 128256]\n" in text


def test_a_projector_has_a_section_of_its_own() -> None:
    info = ModelInfo(
        details=ModelDetails(family="llama"),
        projector_info={
            "general.architecture": "clip",
            "general.parameter_count": 311_890_944,
            "clip.vision.embedding_length": 1024,
            "clip.vision.projection_dim": 768,
        },
    )
    assert (
        "  Projector\n"
        "    architecture        clip\n"
        "    parameters          311.89M\n"
        "    embedding length    1024\n"
        "    dimensions          768\n"
    ) in card(info)


def test_a_server_that_tells_only_details_still_gets_a_model_section() -> None:
    info = ModelInfo(
        details=ModelDetails(family="qwen2", parameter_size="494.03M", quantization_level="Q8_0"), requires="0.14.0"
    )
    assert card(info) == (
        "  Model\n"
        "    architecture    qwen2\n"
        "    parameters      494.03M\n"
        "    quantization    Q8_0\n"
        "    requires        0.14.0\n"
        "\n"
    )


def test_a_license_with_escape_sequences_is_shown_without_them() -> None:
    assert "\x1b" not in card(ModelInfo(license="\x1b]0;title\x07free"))
