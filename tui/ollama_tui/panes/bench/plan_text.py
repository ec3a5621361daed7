"""A plan in one line, and what was typed in its form made a plan."""

from __future__ import annotations

from textual.content import Content

from ollama_engine.bench import Plan, options_text, parse_lengths, parse_options
from ollama_engine.bench.plan import check
from ollama_engine.errors import InvalidRequest
from ollama_engine.types import JSON
from ollama_tui.text import one_line


def plan_text(plan: Plan) -> Content:
    models = ", ".join(map(one_line, plan.models)) or "no model yet"
    sets = [options_text(options) or "model's own" for options in plan.options if options or len(plan.options) > 1]
    parts = [
        f"in {numbers(plan.prompts)}",
        f"out {numbers(plan.generates)}",
        f"× {numbers(plan.concurrencies)}",
        f"{plan.repeats} rounds",
        *(["warm prefix"] if plan.warm else []),
        *([one_line(" | ".join(sets))] if sets else []),
    ]
    return Content.styled("Plan  ", "$muted") + Content(models) + Content.styled(f"  {' · '.join(parts)}", "$muted")


def numbers(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def options_line(sets: tuple[JSON, ...]) -> str:
    """Sets of options as they are typed: `num_ctx=512,1024 kv_cache_type=f16`."""
    choices: dict[str, list[str]] = {}
    for options in sets:
        for name in options:
            value = options_text({name: options[name]}).partition("=")[2]
            known = choices.setdefault(name, [])
            if value not in known:
                known.append(value)
    return " ".join(f"{name}={','.join(values)}" for name, values in choices.items())


def read_plan(models: tuple[str, ...], fields: dict[str, str], *, warm: bool) -> Plan:
    """The plan that a form's texts say. InvalidRequest: they say none."""
    whole = {name: _whole(name, fields) for name in ("rounds", "warm-ups", "loads")}
    return check(
        Plan(
            models=models,
            prompts=_lengths("prompt", fields),
            generates=_lengths("answer", fields),
            concurrencies=_lengths("at once", fields),
            options=parse_options(fields["options"].split()),
            repeats=whole["rounds"],
            warmups=whole["warm-ups"],
            loads=whole["loads"],
            warm=warm,
        )
    )


def _lengths(name: str, fields: dict[str, str]) -> tuple[int, ...]:
    try:
        return parse_lengths(fields[name])
    except InvalidRequest as error:
        raise InvalidRequest(f"{name}: {error.message}", hint=error.hint) from error


def _whole(name: str, fields: dict[str, str]) -> int:
    values = _lengths(name, fields)
    if len(values) != 1:
        raise InvalidRequest(f"{name} is one number")
    return values[0]
