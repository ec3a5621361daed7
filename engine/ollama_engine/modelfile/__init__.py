"""Modelfiles: read (`parser`), written (`printer`), compiled (`compile`), made into layers (`layers`).

The client parses and compiles, uploads the files and sends the request; the engine makes the layers of it.
"""
