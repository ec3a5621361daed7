"""The engine behind HTTP: an ASGI app that speaks Ollama's native API, and the process that serves it.

Knows the `Engine` Protocol, the wire types, the errors and the settings; never what stands behind the Protocol.
"""
