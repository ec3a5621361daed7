"""The engine: GGUF store, Modelfiles, llama.cpp sessions and the verbs over them. Embeddable; knows no terminal.

from ollama_engine.local import LocalEngine
from ollama_engine.settings import Settings

async with LocalEngine(Settings.resolve()) as engine:
    async for chunk in engine.chat(ChatRequest(model="bard", messages=[Message("user", "Who goes there?")])):
        print(chunk.message.content, end="")
"""

__version__ = "0.1.0"
