"""What the editor of Modelfiles does. Letters are text there."""

from __future__ import annotations

from ollama_tui.actions.action import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "editor.create", "ctrl+s", "create", "create", "Make the model, under a name that is asked for", palette=False
    ),
    Action(
        "modelfile.complete",
        "tab",
        "complete",
        "complete",
        "Complete the word, the model or the path; again: the next one",
        palette=False,
    ),
    Action(
        "editor.preview",
        "ctrl+r",
        "preview",
        "next prompt",
        "Show the prompt of another sample, or hide it",
        palette=False,
    ),
    Action(
        "editor.quantize", "ctrl+t", "quantize", "quantize", "Choose what the weights are quantized to", palette=False
    ),
    Action("editor.problem", "ctrl+n", "problem", "next fault", "Go to the line of the next fault", palette=False),
    Action(
        "editor.files", "ctrl+o", "files", "GGUF files", "Choose one of the GGUF files of this machine", palette=False
    ),
    Action("modelfile.top", "ctrl+home", "top", "top", "Go to the first line", footer=False, palette=False),
    Action("modelfile.end", "ctrl+end", "end", "end", "Go to the last line", footer=False, palette=False),
    Action("editor.stop", "escape", "stop", "stop", "Stop making the model; the draft stays", palette=False),
    Action(
        "editor.aside",
        "ctrl+l",
        "aside",
        "go on elsewhere",
        "Leave while the model is being made; it will be in the Library",
        palette=False,
    ),
    Action("editor.leave", "escape", "leave", "leave", "Leave; asks what becomes of changes", palette=False),
    Action("leaving.keep", "enter,y", "answer('keep')", "keep", "Keep the draft", footer=False, palette=False),
    Action("leaving.drop", "d", "answer('drop')", "throw away", "Throw the changes away", footer=False, palette=False),
    Action("leaving.stay", "escape,n", "answer('stay')", "go on", "Go on writing", footer=False, palette=False),
)
