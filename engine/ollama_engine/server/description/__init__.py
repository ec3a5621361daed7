"""The API described: /openapi.json for programs, /docs for people, both made of the table of routes."""
