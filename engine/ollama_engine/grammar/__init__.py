"""Structured output: what an answer must keep to as GBNF for llama.cpp.

`format.format_to_grammar` takes the `format` of a request (`json_schema.schema_to_gbnf` has the list of what is kept of
a schema), `gbnf_text.read_gbnf` a grammar that the caller wrote, `tool_calls.calls_to_gbnf` tools that must be called,
with the frames of `ollama_engine.output.frame` around them. Of other rooms only those frames are known here.
"""
