"""A plan made of what a user asked for: the cells of its matrix, and what of it cannot be."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from ollama_engine.bench.records import Cell, Plan
from ollama_engine.errors import InvalidRequest
from ollama_engine.options import OPTION_KINDS, Deprecated, merge_options, parse_parameter
from ollama_engine.types import JSON

MOST_CELLS = 2000
MOST_TOKENS = 1_000_000
MOST_REPEATS = 1000
MOST_CONCURRENCY = 256
_LISTS = frozenset({"array", "numbers", "names", "object"})
_OURS = frozenset({"num_predict", "ignore_eos", "stop", "seed"})
"""Options that the benchmark itself sets."""


def cells(plan: Plan) -> tuple[Cell, ...]:
    """All of the matrix, in the order in which it is measured: what needs another load comes last."""
    matrix = itertools.product(plan.models, plan.options, plan.concurrencies, plan.prompts, plan.generates)
    return tuple(
        Cell(model=model, options=options, prompt=prompt, generate=generate, concurrency=at_once, warm=plan.warm)
        for model, options, at_once, prompt, generate in matrix
    )


def check(plan: Plan) -> Plan:
    """The plan, each of its values once.

    Raises:
        InvalidRequest: nothing to measure, or a value that makes no sense.
    """
    models = _once(model.strip() for model in plan.models if model.strip())
    if not models:
        raise InvalidRequest("no model to measure", hint="Name one or more of those that 'ollama-tui list' shows.")
    prompts = _numbers("prompt length", plan.prompts, MOST_TOKENS)
    generates = _numbers("generation length", plan.generates, MOST_TOKENS)
    concurrencies = _numbers("concurrency", plan.concurrencies, MOST_CONCURRENCY)
    _within("repeats", plan.repeats, 1, MOST_REPEATS)
    _within("warm-ups", plan.warmups, 0, MOST_REPEATS)
    _within("loads", plan.loads, 1, MOST_REPEATS)
    for options in plan.options:
        merge_options(options)
        for name in sorted(_OURS & set(options)):
            raise InvalidRequest(f'option "{name}" is the benchmark\'s own', hint="Leave it out.")
    options = tuple(dict(items) for items in dict.fromkeys(_items(options) for options in plan.options or ({},)))
    count = len(models) * len(options) * len(prompts) * len(generates) * len(concurrencies)
    if count > MOST_CELLS:
        raise InvalidRequest(f"{count} measurements are too many", hint=f"Ask for {MOST_CELLS} at most.")
    return Plan(
        models=models,
        prompts=prompts,
        generates=generates,
        concurrencies=concurrencies,
        options=options,
        repeats=plan.repeats,
        warmups=plan.warmups,
        loads=plan.loads,
        warm=plan.warm,
        seed=plan.seed,
        ignore_eos=plan.ignore_eos,
    )


def parse_lengths(text: str) -> tuple[int, ...]:
    """`128,512` as numbers. InvalidRequest: one is none."""
    numbers: list[int] = []
    for word in text.replace(" ", ",").split(","):
        if not word:
            continue
        if not word.isascii() or not word.isdigit():
            raise InvalidRequest(f"'{word}' is no whole number", hint="Numbers with commas between them: 128,512.")
        numbers.append(int(word))
    return tuple(numbers)


def parse_options(pairs: Iterable[str]) -> tuple[JSON, ...]:
    """Sets of options of `NAME=VALUE` and `NAME=VALUE,VALUE…`: every combination of the values.

    An option whose value is a list itself (`tensor_split`, `devices` …) has that one value.

    Raises:
        InvalidRequest: no such option, or no value of its kind.
    """
    choices: dict[str, list[object]] = {}
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise InvalidRequest(f"'{pair}' is no option", hint="An option is NAME=VALUE, as num_ctx=4096.")
        texts = [text] if OPTION_KINDS.get(name) in _LISTS else [word.strip() for word in text.split(",")]
        for one in texts:
            value = parse_parameter(name, one)
            if isinstance(value, Deprecated):
                raise InvalidRequest(value.warning.removeprefix("warning: "), hint="Leave it out.")
            merge_options({name: value})
            known = choices.setdefault(name, [])
            if value not in known:
                known.append(value)
    return tuple(dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values()))


def options_text(options: JSON) -> str:
    """`num_ctx=4096 kv_cache_type=q8_0`; empty for none."""
    return " ".join(f"{name}={_value(value)}" for name, value in options.items())


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _items(options: JSON) -> tuple[tuple[str, object], ...]:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items())


def _numbers(what: str, values: Sequence[int], most: int) -> tuple[int, ...]:
    if not values:
        raise InvalidRequest(f"no {what} is given")
    for value in values:
        _within(what, value, 1, most)
    return tuple(dict.fromkeys(values))


def _within(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidRequest(f"{what} cannot be {value}", hint=f"It is a number from {least} to {most}.")
