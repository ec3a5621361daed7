"""An interpreter for Go's `text/template`, the language of Ollama's TEMPLATE layers.

`lexer` → `parser` → `nodes` (the tree) → `executor`; `values` and `printf` know how Go prints and compares,
`builtins` are the functions a template can call. `GoTemplate` is the way in.
"""

from __future__ import annotations

from ollama_engine.prompt.go_template.template import GoTemplate
from ollama_engine.prompt.go_template.values import JSONList, JSONMap, Record

__all__ = ["GoTemplate", "JSONList", "JSONMap", "Record"]
