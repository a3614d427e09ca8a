"""`moss serve`: the engine, warm, behind the OpenAI-compatible API."""
