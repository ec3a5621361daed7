"""Anthropic's API, `/v1/messages` (spec §2.8)."""
