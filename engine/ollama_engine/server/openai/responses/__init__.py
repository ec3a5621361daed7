"""`/v1/responses` (spec §2.6): OpenAI's later API, with conversations that the server remembers."""
