"""A request's `format` field as the grammar that the answer must follow. Called by whoever makes a runner request.

Source: spec §1.3, §1.4 and §9.
"""

from __future__ import annotations

import json
from typing import Any

from ollama_engine.errors import InvalidRequest
from ollama_engine.grammar.json_schema import schema_to_gbnf

JSON_GRAMMAR = r"""root ::= "{" ws (member (comma member)*)? ws "}"
ws ::= (" " | "\x0A" [\x09 ]{0,16})?
member ::= string colon value
comma ::= "," ws
string ::= "\"" char* "\""
colon ::= ":" ws
value ::= root | array | string | number | "true" | "false" | "null"
array ::= "[" ws (value (comma value)*)? ws "]"
number ::= integer ("." [0-9]{1,15})? ([Ee] [+\-]? [0-9]{1,2})?
integer ::= "-"? ("0" | [1-9] [0-9]{0,14})
char ::= [ -!#-\[\]-\uD7FF\uE000-\U0010FFFF] | "\\" escape
escape ::= ["/\\bfnrt] | "u" ([0-9A-CE-Fa-ce-f] [0-9A-Fa-f]{3} | [Dd] [0-7] [0-9A-Fa-f]{2})
"""
"""Any JSON object: what `format: "json"` stands for. The text of JsonRules.object."""


def format_to_grammar(format: Any) -> str:
    """GBNF for a request's `format`; empty where it asks for nothing.

    Args:
        format: None or "" for free text, "json" for any JSON object, or a JSON Schema (an object, true or false).

    Raises:
        InvalidRequest: it is none of these, or the schema cannot be kept.
    """
    if format is None or format == "":
        return ""
    if format == "json":
        return JSON_GRAMMAR
    if isinstance(format, dict | bool):
        return schema_to_gbnf(format)
    shown = format if isinstance(format, str) else json.dumps(format, default=repr)
    raise InvalidRequest(f'invalid format: "{shown}"; expected "json" or a valid JSON Schema object')
