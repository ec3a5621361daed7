"""An answer's text, read back: content, thinking and tool calls, in whatever dialect the model's template speaks.

`dialects.markers_for` says what to look for (once per model), `parser.OutputParser` looks for it (once per answer),
`history.strip_thinking` takes old reasoning out of a conversation, `frame` gives the text around a forced call.
Nothing here does I/O or knows the store.
"""
