"""What a user types in this pane: what to pull, and how fast."""

from __future__ import annotations

from ollama_engine import setting_values

MODEL_NOTE = (
    "llama3.2:1b · hf.co/USER/REPOSITORY:QUANTIZATION · HOST/NAMESPACE/MODEL:TAG · https://…/MODEL.gguf\n"
    "--insecure after it: over plain http, for a registry of your own network"
)
RATE_NOTE = "800K or 5M a second, of all pulls together; 0: no limit. For good: OLLAMA_BANDWIDTH"
NO_LIMIT = ("0", "none", "off", "no")


def read_model(text: str) -> tuple[str, bool]:
    """The model, and whether plain http will do."""
    words = text.split()
    insecure = "--insecure" in words
    return " ".join(word for word in words if word != "--insecure"), insecure


def read_rate(text: str) -> int:
    """Bytes a second, 0 for no limit; ValueError says how one is written."""
    text = text.strip().lower().removesuffix("/s").removesuffix("ps").strip()
    if text in NO_LIMIT:
        return 0
    return setting_values.byte_count(text)


def rate_problem(text: str) -> str:
    """What is wrong with a rate, in words; nothing where nothing is."""
    try:
        read_rate(text)
    except ValueError:
        return "A rate is written as 800K or 5M; 0 takes the limit away."
    return ""


def rate_text(bandwidth: int) -> str:
    """A limit as it may be typed."""
    for unit, size in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if bandwidth >= size and bandwidth % size == 0:
            return f"{bandwidth // size}{unit}"
    return str(bandwidth)
