"""Ollama's own API, `/` and `/api/...` (spec §1): one file for each group of endpoints."""
