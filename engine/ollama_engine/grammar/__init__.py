"""Structured output: the `format` of a request to a GBNF grammar for llama.cpp. Knows nothing of other rooms.

`format.format_to_grammar` is the way in; `json_schema.schema_to_gbnf` has the list of what is kept of a schema.
"""
