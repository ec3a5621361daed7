"""Named dialects: what a template does not show, and the PARSER names of Modelfiles (spec §9).

`markers_for` is the way in: by PARSER name, else by what the template's text gives away, else by inference. A dialect
has only what inference cannot see; the rest of a model's markers is inferred all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ollama_engine.output.markers import infer_markers
from ollama_engine.output.syntax import CallSyntax, Markers, ThinkTags
from ollama_engine.prompt.render import ChatTemplate

THINK = ThinkTags("<think>", "</think>")

BARE = CallSyntax()
HERMES = CallSyntax(call_open="<tool_call>\n", call_close="\n</tool_call>")
QWEN_XML = CallSyntax(
    "tagged",
    call_open="<tool_call>\n<function=",
    call_close="</function>\n</tool_call>",
    name_end=">",
    param_open="<parameter=",
    param_mid=">",
    param_close="</parameter>",
    padded=True,
)
QWEN_XML_ALONE = replace(QWEN_XML, call_open="<function=", call_close="</function>")
MISTRAL_LIST = CallSyntax(block_open="[TOOL_CALLS]", listed=True)
MISTRAL_ARGS = CallSyntax("named", call_open="[TOOL_CALLS]", name_end="[ARGS]")
DEEPSEEK = CallSyntax(
    "named",
    block_open="<｜tool▁calls▁begin｜>",
    call_open="<｜tool▁call▁begin｜>",
    call_close="<｜tool▁call▁end｜>",
    block_close="<｜tool▁calls▁end｜>",
    name_end="<｜tool▁sep｜>",
)
DEEPSEEK_R1 = replace(
    DEEPSEEK,
    call_open="<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
    call_close="\n```<｜tool▁call▁end｜>",
    name_end="\n```json\n",
)
GLM = CallSyntax(
    "tagged",
    call_open="<tool_call>",
    call_close="</tool_call>",
    param_open="<arg_key>",
    param_mid="</arg_key>\n<arg_value>",
    param_close="</arg_value>",
)
GEMMA = CallSyntax("loose", call_open="<|tool_call>", call_close="<tool_call|>", name_prefix="call:", quote='<|"|>')
FUNCTION_GEMMA = replace(GEMMA, call_open="<start_function_call>", call_close="<end_function_call>", quote="<escape>")
GEMMA_THINK = ThinkTags("<|channel>thought", "<channel|>")
LFM2 = CallSyntax("python", listed=True, call_open="<|tool_call_start|>", call_close="<|tool_call_end|>")
OLMO3 = CallSyntax("python", block_open="<function_calls>", block_close="</function_calls>")
GRANITE = CallSyntax(block_open="<|tool_call|>", listed=True)
COHERE = CallSyntax(
    block_open="<|START_ACTION|>",
    block_close="<|END_ACTION|>",
    listed=True,
    name_key="tool_name",
    arguments_key="parameters",
)
COHERE_THINK = ThinkTags("<|START_THINKING|>", "<|END_THINKING|>")
COHERE_WRAPPERS = ("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>")
COMMAND_R_PLUS = CallSyntax(
    block_open="Action:\n```json\n",
    block_close="```",
    listed=True,
    name_key="tool_name",
    arguments_key="parameters",
    ignored=("directly_answer", "directly-answer"),
)
FUNCTIONARY = CallSyntax("named", call_open="<function=", call_close="</function>", name_end=">")
KIMI = CallSyntax(
    "named",
    block_open="<|tool_calls_section_begin|>",
    call_open="<|tool_call_begin|>",
    call_close="<|tool_call_end|>",
    block_close="<|tool_calls_section_end|>",
    name_prefix="functions.",
    name_end="<|tool_call_argument_begin|>",
)
MINIMAX = CallSyntax(
    "tagged",
    block_open="<minimax:tool_call>",
    call_open='<invoke name="',
    call_close="</invoke>",
    block_close="</minimax:tool_call>",
    name_end='">',
    param_open='<parameter name="',
    param_mid='">',
    param_close="</parameter>",
)
LLAMA_PYTHON_TAG = CallSyntax("python", call_open="<|python_tag|>")
LLAMA_PYTHON = CallSyntax("python", listed=True)
LLAMA = (replace(BARE, arguments_key="parameters"), LLAMA_PYTHON, LLAMA_PYTHON_TAG, FUNCTIONARY)

_QWEN3 = Markers(THINK, (HERMES,))
_QWEN3_INSTRUCT = Markers(None, (HERMES,))
_QWEN35 = Markers(THINK, (QWEN_XML, QWEN_XML_ALONE, HERMES))
_QWEN_CODER = Markers(None, (QWEN_XML, QWEN_XML_ALONE))
_GLM = Markers(THINK, (GLM,))
_LAGUNA = Markers(THINK, (GLM, HERMES))
_COHERE = Markers(COHERE_THINK, (COHERE,), COHERE_WRAPPERS)

PARSERS: dict[str, Markers] = {
    "qwen3": _QWEN3,
    "qwen3-thinking": replace(_QWEN3, opens_thinking=True),
    "qwen3.5": replace(_QWEN35, opens_thinking=True),
    "ornith": replace(_QWEN35, opens_thinking=True),
    "qwen3-coder": _QWEN_CODER,
    "qwen3-vl-instruct": _QWEN3_INSTRUCT,
    "qwen3-vl-thinking": replace(_QWEN3, opens_thinking=True),
    "ministral": Markers(ThinkTags("[THINK]", "[/THINK]"), (MISTRAL_ARGS, MISTRAL_LIST)),
    "passthrough": Markers(),
    "harmony": Markers(harmony=True),
    "cogito": Markers(THINK, (DEEPSEEK_R1, DEEPSEEK)),
    "deepseek3": Markers(THINK, (DEEPSEEK, DEEPSEEK_R1)),
    "olmo3": Markers(None, (OLMO3,)),
    "olmo3-think": Markers(THINK, (), opens_thinking=True),
    "nemotron-3-nano": replace(_QWEN35, opens_thinking=True),
    "nemotron-3.5-nano": replace(_QWEN35, opens_thinking=True),
    "functiongemma": Markers(None, (FUNCTION_GEMMA,)),
    "glm-4.7": replace(_GLM, opens_thinking=True),
    "glm-ocr": Markers(THINK, (GLM,)),
    "gemma4": Markers(GEMMA_THINK, (GEMMA,)),
    "gemma4-no-thinking": Markers(None, (GEMMA,)),
    "lfm2": Markers(None, (LFM2,)),
    "lfm2-thinking": Markers(THINK, (LFM2,)),
    "laguna": _LAGUNA,
    "poolside-v1": _LAGUNA,
    "cohere": _COHERE,
}
"""Markers by PARSER name. A name that is not here is ignored, as Ollama ignores it."""


@dataclass(frozen=True)
class Trait:
    """A dialect that a template's text gives away: all of `words` are in it."""

    words: tuple[str, ...]
    apply: Callable[[Markers], Markers]


def _calls(*calls: CallSyntax) -> Callable[[Markers], Markers]:
    """These ways to call, where the template itself shows none."""
    return lambda markers: markers if markers.calls else replace(markers, calls=calls)


def _more(*calls: CallSyntax) -> Callable[[Markers], Markers]:
    """These ways to call, beside those that the template shows."""

    def apply(markers: Markers) -> Markers:
        shown = {(call.form, *call.openers) for call in markers.calls}
        return replace(
            markers, calls=markers.calls + tuple(call for call in calls if (call.form, *call.openers) not in shown)
        )

    return apply


def _harmony(_: Markers) -> Markers:
    return Markers(harmony=True)


def _only(*calls: CallSyntax) -> Callable[[Markers], Markers]:
    return lambda markers: replace(markers, calls=calls)


def _granite(markers: Markers) -> Markers:
    return replace(_calls(GRANITE)(markers), wrappers=("<response>", "</response>"))


def _channel_thinking(markers: Markers) -> Markers:
    return markers if markers.thinking else replace(markers, thinking=GEMMA_THINK)


def _bracket_thinking(markers: Markers) -> Markers:
    return markers if markers.thinking else replace(markers, thinking=ThinkTags("[THINK]", "[/THINK]"))


TRAITS = (
    Trait(("<|start|>", "<|channel|>", "<|message|>"), _harmony),
    Trait(("<|start_header_id|>", "ipython"), _more(*LLAMA)),
    Trait(("[TOOL_CALLS]",), _more(MISTRAL_ARGS, MISTRAL_LIST)),
    Trait(("[THINK]", "[/THINK]"), _bracket_thinking),
    Trait(("<function=", "<parameter=", "<tool_call>"), _more(QWEN_XML, QWEN_XML_ALONE)),
    Trait(("<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>"), _calls(DEEPSEEK_R1, DEEPSEEK)),
    Trait(("<arg_key>", "<arg_value>"), _calls(GLM)),
    Trait(("<|tool_call>", '<|"|>'), _calls(GEMMA)),
    Trait(("<|channel>", "<channel|>"), _channel_thinking),
    Trait(("<start_function_call>",), _calls(FUNCTION_GEMMA)),
    Trait(("<|tool_call_start|>",), _calls(LFM2)),
    Trait(("<|tool_list_start|>",), _calls(LFM2)),
    Trait(("List of tools: [", "<|im_start|>"), _calls(LFM2)),
    Trait(("<function_calls>",), _calls(OLMO3)),
    Trait(("<|start_of_role|>", "<|tool_call|>"), _granite),
    Trait(("<|START_ACTION|>",), _calls(COHERE)),
    Trait(("Action:", "```json", "directly-answer"), _only(COMMAND_R_PLUS)),
    Trait(("<|tool_calls_section_begin|>",), _calls(KIMI)),
    Trait(("<minimax:tool_call>",), _calls(MINIMAX)),
    Trait(("<tool_call>", "</tool_call>"), _calls(HERMES)),
)


def markers_for(template: ChatTemplate, *, parser: str = "", source: str = "") -> Markers:
    """What a model writes around its thinking and its calls.

    Args:
        template: the template that renders its prompts.
        parser: PARSER of its Modelfile; a name that nobody knows is ignored.
        source: further template text of the same model (the GGUF's, where a TEMPLATE layer speaks), which may tell
            what the speaking one does not.
    """
    if parser in PARSERS:
        return PARSERS[parser]
    markers = infer_markers(template)
    text = template.source + source
    for trait in TRAITS:
        if all(word in text for word in trait.words):
            markers = trait.apply(markers)
    return markers
