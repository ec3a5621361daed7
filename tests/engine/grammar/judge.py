"""Whether an answer validates, by the jsonschema package.

Numbers are read as decimals, so that multiples of 0.01 are judged exactly; the formats that the package checks only
with further packages are checked with the standard library.
"""

from __future__ import annotations

import datetime
import json
import re
import urllib.parse
from decimal import Decimal
from typing import Any

import jsonschema
from jsonschema.validators import validator_for

CHECKER = jsonschema.FormatChecker()


@CHECKER.checks("time", raises=ValueError)
def _time(value: object) -> bool:
    return not isinstance(value, str) or datetime.time.fromisoformat(value).tzinfo is not None


@CHECKER.checks("date-time", raises=ValueError)
def _date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.datetime.fromisoformat(value).tzinfo is not None


@CHECKER.checks("duration")
def _duration(value: object) -> bool:
    found = re.fullmatch(r"P(?=.)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+S)?)?)", str(value))
    return not isinstance(value, str) or found is not None


@CHECKER.checks("hostname")
def _hostname(value: object) -> bool:
    if not isinstance(value, str):
        return True
    label = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
    return len(value) <= 253 and all(label.fullmatch(part) for part in value.split("."))


@CHECKER.checks("email")
def _email(value: object) -> bool:
    if not isinstance(value, str):
        return True
    name, _, host = value.rpartition("@")
    return re.fullmatch(r"[\w+-]+(\.[\w+-]+)*", name) is not None and _hostname(host)


@CHECKER.checks("uri", raises=ValueError)
def _uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    parts = urllib.parse.urlsplit(value)
    return bool(parts.scheme and parts.hostname) and (parts.port or 1) < 65536 and _hostname(parts.hostname or "")


@CHECKER.checks("json-pointer")
def _json_pointer(value: object) -> bool:
    return not isinstance(value, str) or re.fullmatch(r"(/([^~/]|~[01])*)*", value) is not None


def problems(text: str, schema: Any) -> list[str]:
    """What is wrong with an answer; nothing where it is JSON and validates.

    A schema's `$schema` says which draft it is judged by, 2020-12 where it is silent.
    """
    try:
        value = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        return [f"not JSON: {error}"]
    schema = json.loads(json.dumps(schema), parse_float=Decimal)
    validator = validator_for(schema, default=jsonschema.Draft202012Validator)
    return [error.message for error in validator(schema, format_checker=CHECKER).iter_errors(value)]
