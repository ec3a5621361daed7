"""Messages to prompt text: a model's own Jinja or Go template, collation, truncation.

Nothing here does I/O, holds a process or knows the store; `render.py` is the way in.
"""
