"""Schemas as people write them, each with a name: test_answers.py drives every one through llama.cpp.

Strings are mostly bounded, so that a babbling model comes to an end.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string", "maxLength": 12}
WORD = {"type": "string", "pattern": "^[a-z]{1,8}$"}


def an_object(required: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required is not None else {"required": list(properties)})


SCHEMAS: dict[str, Any] = {
    # -- real ones -----------------------------------------------------------------------------------------------
    "a person": an_object(name=TEXT, age={"type": "integer", "minimum": 0, "maximum": 130}, email=TEXT),
    "a country with languages": an_object(
        name=TEXT, capital=TEXT, languages={"type": "array", "items": TEXT, "maxItems": 3}
    ),
    "a receipt with lines": an_object(
        store=TEXT,
        currency={"enum": ["EUR", "USD", "GBP"]},
        lines={
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": an_object(
                item=WORD,
                count={"type": "integer", "minimum": 1, "maximum": 99},
                price={"type": "number", "minimum": 0},
            ),
        },
        paid={"type": "boolean"},
    ),
    "sentiment": an_object(
        label={"type": "string", "enum": ["positive", "neutral", "negative"]},
        score={"type": "number", "minimum": -1, "maximum": 1},
    ),
    "named entities": {
        "type": "array",
        "maxItems": 4,
        "items": an_object(kind={"enum": ["person", "place", "organisation"]}, text=WORD),
    },
    "a weather tool call": an_object(
        name={"const": "get_weather"},
        arguments=an_object(["city"], city=WORD, unit={"type": "string", "enum": ["celsius", "fahrenheit"]}),
    ),
    "an appointment": an_object(
        ["title", "start"],
        title=TEXT,
        start={"type": "string", "format": "date-time"},
        day={"type": "string", "format": "date"},
        id={"type": "string", "format": "uuid"},
    ),
    "pets as pydantic writes them": {
        "$defs": {
            "Cat": an_object(["name", "kind"], kind={"const": "cat", "title": "Kind", "type": "string"}, name=WORD),
            "Dog": an_object(
                ["name", "kind", "tricks"],
                kind={"const": "dog", "title": "Kind", "type": "string"},
                name=WORD,
                tricks={"items": WORD, "type": "array", "maxItems": 2, "title": "Tricks"},
            ),
        },
        "properties": {
            "pet": {
                "discriminator": {"mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}, "propertyName": "kind"},
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
                "title": "Pet",
            },
            "nickname": {"anyOf": [WORD, {"type": "null"}], "default": None, "title": "Nickname"},
        },
        "required": ["pet"],
        "title": "Owner",
        "type": "object",
    },
    "a set of strings as pydantic writes it": an_object(
        tags={"type": "array", "items": {"enum": ["red", "green", "blue"]}, "uniqueItems": True}
    ),
    "a tree": {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": an_object(
                ["value"],
                value={"type": "integer", "minimum": 0, "maximum": 9},
                children={"type": "array", "items": {"$ref": "#/$defs/Node"}, "maxItems": 2},
            )
        },
    },
    "a linked list by definitions": {
        "definitions": {
            "list": {
                "anyOf": [{"type": "null"}, an_object(head={"type": "boolean"}, tail={"$ref": "#/definitions/list"})]
            }
        },
        "$ref": "#/definitions/list",
    },
    "an arithmetic expression": {
        "$defs": {
            "expression": {
                "oneOf": [
                    {"type": "integer", "minimum": -9, "maximum": 9},
                    an_object(
                        operator={"enum": ["+", "-", "*", "/"]},
                        left={"$ref": "#/$defs/expression"},
                        right={"$ref": "#/$defs/expression"},
                    ),
                ]
            }
        },
        "$ref": "#/$defs/expression",
    },
    "a recursive root": {
        "type": "object",
        "properties": {"name": WORD, "child": {"$ref": "#"}},
        "required": ["name"],
    },
    "a GeoJSON geometry": {
        "oneOf": [
            an_object(type={"const": "Point"}, coordinates={"$ref": "#/$defs/position"}),
            an_object(
                type={"const": "LineString"},
                coordinates={"type": "array", "items": {"$ref": "#/$defs/position"}, "minItems": 2, "maxItems": 3},
            ),
        ],
        "$defs": {
            "position": {
                "type": "array",
                "prefixItems": [
                    {"type": "number", "minimum": -180, "maximum": 180},
                    {"type": "number", "minimum": -90, "maximum": 90},
                ],
                "items": False,
                "minItems": 2,
            }
        },
    },
    "a chess move": {"type": "string", "pattern": "^([KQRBN]?[a-h]?[1-8]?x?[a-h][1-8](=[QRBN])?|O-O(-O)?)[+#]?$"},
    "settings by allOf": {
        "allOf": [
            {"type": "object", "properties": {"host": WORD}, "required": ["host"]},
            {"type": "object", "properties": {"port": {"type": "integer", "minimum": 1, "maximum": 65535}}},
            {"required": ["port"]},
        ]
    },
    "a payment by if and then": {
        "type": "object",
        "properties": {
            "method": {"enum": ["card", "cash"]},
            "number": {"type": "string", "pattern": "^[0-9]{4}$"},
        },
        "required": ["method"],
        "if": {"properties": {"method": {"const": "card"}}},
        "then": {"required": ["number"]},
    },
    "a matrix": {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": {"type": "integer", "minimum": -5, "maximum": 5},
        },
    },
    # -- types ---------------------------------------------------------------------------------------------------
    "anything": {},
    "true": True,
    "any object": {"type": "object"},
    "any array": {"type": "array"},
    "a free number": {"type": "number"},
    "a free integer": {"type": "integer"},
    "a boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "one of several types": {"type": ["integer", "null", "boolean"]},
    "integer among the types is no limit beside number": {"type": ["integer", "number"], "minimum": 0, "maximum": 1},
    "keywords of other types are no limit": {
        "type": ["boolean", "string"],
        "minimum": 7,
        "maxLength": 3,
        "maxItems": 0,
    },
    # -- values --------------------------------------------------------------------------------------------------
    "an enum of everything": {"enum": [None, True, 1, 1.5, -2e30, "a", "", [], [1, {"a": 2}], {}, {"b": [None]}]},
    "an enum with quotes and unicode": {
        "enum": ['say "hi"', "back\\slash", "naïve café", "日本語", "😀", "tab\there", "a/b"]
    },
    "an enum beside a type": {"type": "string", "enum": ["yes", "no", 1, None]},
    "an enum beside limits": {"enum": [1, 5, 10, 50, "x"], "minimum": 5, "maximum": 10},
    "a const object": {"const": {"ok": True, "items": [1, 2.5, "three"], "nested": {"é": None}}},
    "enums by allOf": {"allOf": [{"enum": [1, 2, 3, "x"]}, {"enum": [3, "x", 4]}]},
    "member names with quotes and unicode": an_object(
        **{'"': TEXT, "ключ": TEXT, "a b": TEXT, "": {"type": "null"}, "\\": WORD}
    ),
    # -- numbers -------------------------------------------------------------------------------------------------
    "integers around zero": {"type": "integer", "minimum": -12, "maximum": 7},
    "integers by exclusive bounds": {"type": "integer", "exclusiveMinimum": -1, "exclusiveMaximum": 100},
    "negative integers": {"type": "integer", "maximum": -1},
    "large integers": {"type": "integer", "minimum": 10**15, "maximum": 2**63 - 1},
    "integers between fractions": {"type": "integer", "minimum": 0.5, "maximum": 3.5},
    "numbers between 0 and 1 alone": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "numbers around zero": {"type": "number", "minimum": -0.5, "maximum": 2.75},
    "numbers below absolute zero are none": {"type": "number", "exclusiveMinimum": -273.15, "maximum": 1e4},
    "one number": {"type": "number", "minimum": 3, "maximum": 3},
    "very small numbers": {"type": "number", "exclusiveMinimum": 0, "maximum": 1e-9},
    "multiples of 5": {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 1000},
    "multiples of 3 and 4": {
        "allOf": [{"multipleOf": 3}, {"multipleOf": 4}],
        "type": "integer",
        "minimum": -99,
        "maximum": 99,
    },
    "cents": {"type": "number", "multipleOf": 0.01, "minimum": 0, "exclusiveMaximum": 1000},
    "quarters": {"type": "number", "multipleOf": 0.25, "minimum": -2, "maximum": 2},
    # -- strings -------------------------------------------------------------------------------------------------
    "a string of bounded length": {"type": "string", "minLength": 2, "maxLength": 6},
    "a long string": {"type": "string", "minLength": 30, "maxLength": 60},
    "an exact length in code points": {"type": "string", "minLength": 3, "maxLength": 3},
    "an empty string": {"type": "string", "maxLength": 0},
    "a telephone number": {"type": "string", "pattern": "^(\\([0-9]{3}\\))?[0-9]{3}-[0-9]{4}$"},
    "a pattern found anywhere": {"type": "string", "pattern": "ab+c", "maxLength": 12},
    "a pattern of alternatives": {"type": "string", "pattern": "^(?:north|south)(?:-(east|west))?$"},
    "a pattern with a negated class": {"type": "string", "pattern": '^[^\\s"\\\\]{1,6}$'},
    "a pattern with classes": {"type": "string", "pattern": "^\\d{2}\\s\\w{1,3}\\.\\S\\D\\W$"},
    "a pattern and lengths": {"type": "string", "pattern": "^(ab)*$", "minLength": 3, "maxLength": 9},
    "two patterns": {"type": "string", "allOf": [{"pattern": "^[a-f]*$"}, {"pattern": "^.{2,5}$"}, {"pattern": "a"}]},
    "a pattern of unicode": {"type": "string", "pattern": "^[α-ωà-ÿ]{1,4}😀?$"},
    "a pattern with anchors in alternatives": {"type": "string", "pattern": "^a{1,3}$|^b{2}$"},
    "a pattern beginning anywhere": {"type": "string", "pattern": "x$", "maxLength": 5},
    "not these words": {"type": "string", "maxLength": 3, "not": {"enum": ["yes", "no", ""]}},
    "a date": {"type": "string", "format": "date"},
    "a time": {"type": "string", "format": "time"},
    "a date and time": {"type": "string", "format": "date-time"},
    "a duration": {"type": "string", "format": "duration"},
    "an email address": {"type": "string", "format": "email", "maxLength": 30},
    "a host name": {"type": "string", "format": "hostname", "maxLength": 30},
    "an IPv4 address": {"type": "string", "format": "ipv4"},
    "an IPv6 address": {"type": "string", "format": "ipv6"},
    "a URI": {"type": "string", "format": "uri", "maxLength": 40},
    "a UUID": {"type": "string", "format": "uuid"},
    "a JSON pointer": {"type": "string", "format": "json-pointer", "maxLength": 10},
    "an unknown format is no limit": {"type": "string", "format": "colour", "maxLength": 5},
    # -- arrays --------------------------------------------------------------------------------------------------
    "arrays in arrays": {
        "type": "array",
        "maxItems": 2,
        "items": {"type": "array", "maxItems": 2, "items": {"type": "boolean"}},
    },
    "a tuple": {"type": "array", "prefixItems": [WORD, {"type": "boolean"}, {"type": "null"}], "items": False},
    "a tuple and a rest": {
        "type": "array",
        "prefixItems": [{"const": "sum"}],
        "items": {"type": "integer", "minimum": 0, "maximum": 9},
        "minItems": 3,
        "maxItems": 5,
    },
    "exactly four items": {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "boolean"}},
    "no items": {"type": "array", "maxItems": 0},
    "distinct values": {
        "type": "array",
        "uniqueItems": True,
        "minItems": 2,
        "maxItems": 3,
        "items": {"enum": [1, 2, 3, "x"]},
    },
    "items whose schema is false": {"type": "array", "items": False},
    # -- objects -------------------------------------------------------------------------------------------------
    "optional members": an_object([], a=WORD, b=WORD, c=WORD),
    "optional between required": an_object(["b", "d"], a=WORD, b=WORD, c=WORD, d=WORD, e=WORD),
    "required without a schema": {
        "type": "object",
        "properties": {"a": WORD},
        "required": ["a", "b"],
        "maxProperties": 2,
    },
    "free members of a type": {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 3},
    "free members beside named ones": {
        "type": "object",
        "properties": {"name": WORD, "nam": {"type": "null"}},
        "required": ["name"],
        "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 9},
        "maxProperties": 4,
    },
    "members by pattern": {
        "type": "object",
        "patternProperties": {
            "^x-[a-z]{1,3}$": {"type": "boolean"},
            "^n[0-9]{1,2}$": {"type": "integer", "minimum": 0, "maximum": 5},
        },
        "additionalProperties": False,
        "maxProperties": 3,
    },
    "members by overlapping patterns": {
        "type": "object",
        "patternProperties": {"^a": {"type": "integer"}, "z$": {"minimum": 5, "maximum": 9}},
        "propertyNames": {"maxLength": 4},
        "additionalProperties": False,
        "maxProperties": 2,
    },
    "names by pattern": {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Z]{2}$"},
        "additionalProperties": {"type": "null"},
        "minProperties": 1,
        "maxProperties": 2,
    },
    "at least two of three": an_object([], a={"const": 1}, b={"const": 2}, c={"const": 3}) | {"minProperties": 2},
    "at most one of three": an_object([], a={"const": 1}, b={"const": 2}, c={"const": 3}) | {"maxProperties": 1},
    "a member that needs another": {
        "type": "object",
        "properties": {"card": {"const": 1}, "address": {"const": 2}, "note": {"const": 3}},
        "dependentRequired": {"card": ["address"]},
    },
    "a member that needs a schema": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}},
        "dependentSchemas": {"a": {"properties": {"b": {"const": True}}, "required": ["b"]}},
    },
    "a forbidden member": {"type": "object", "properties": {"a": False, "b": {"type": "boolean"}}},
    "nothing unevaluated": {
        "type": "object",
        "allOf": [{"properties": {"a": {"type": "boolean"}}}],
        "properties": {"b": {"type": "boolean"}},
        "required": ["b"],
        "unevaluatedProperties": False,
    },
    # -- combinations --------------------------------------------------------------------------------------------
    "one of, by what is required": {
        "oneOf": [
            {"type": "object", "properties": {"url": WORD}, "required": ["url"]},
            {"type": "object", "properties": {"path": WORD}, "required": ["path"]},
        ]
    },
    "one of, with both members known": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "one of, by ranges": {
        "oneOf": [
            {"type": "integer", "maximum": -10, "minimum": -20},
            {"type": "integer", "minimum": 10, "maximum": 20},
        ]
    },
    "one of, by overlapping ranges": {
        "type": "integer",
        "minimum": 0,
        "maximum": 100,
        "oneOf": [{"maximum": 60}, {"minimum": 40}],
    },
    "one of, by patterns": {
        "oneOf": [{"type": "string", "pattern": "^a[a-z]{0,3}$"}, {"type": "string", "pattern": "^b[a-z]{0,3}$"}]
    },
    "any of beside keywords": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "anyOf": [{"properties": {"b": WORD}, "required": ["b"]}, {"properties": {"c": WORD}, "required": ["c"]}],
    },
    "any of in any of": {"anyOf": [{"anyOf": [{"const": 1}, {"const": 2}]}, {"type": "null"}]},
    "not a type": {"type": ["boolean", "null", "integer"], "minimum": 0, "maximum": 3, "not": {"type": "null"}},
    "not a required member": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}},
        "not": {"required": ["a", "b"]},
    },
    "not a number": {"type": "integer", "minimum": 0, "maximum": 9, "not": {"enum": [3, 4]}},
    "references by anchor and by escaped pointer": {
        "$defs": {"a/b~c d": {"type": "boolean"}, "n": {"$anchor": "nothing", "type": "null"}},
        "type": "array",
        "prefixItems": [{"$ref": "#/$defs/a~1b~0c%20d"}, {"$ref": "#nothing"}],
        "items": False,
    },
    "a reference with siblings": {
        "$defs": {"n": {"type": "integer", "minimum": 0}},
        "$ref": "#/$defs/n",
        "maximum": 5,
    },
}

DRAFT4: dict[str, Any] = {
    "exclusive flags of draft 4": {
        "type": "integer",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 3,
        "exclusiveMaximum": True,
    },
    "a tuple of draft 4": {
        "type": "array",
        "items": [{"type": "boolean"}, {"type": "null"}],
        "additionalItems": {"enum": [7]},
        "maxItems": 4,
    },
    "dependencies of draft 4": {
        "type": "object",
        "properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}},
        "dependencies": {"a": ["b"]},
    },
}
