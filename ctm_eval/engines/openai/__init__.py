"""The `openai` engine: a model behind any server with OpenAI's interface, asked in words or in ids."""
