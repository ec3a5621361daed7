"""OpenAI's API, `/v1/...` (spec §2.1-2.7): one file for each group of endpoints, and what they share."""
