"""Losses and trainers over plain `{prompt, completion}` columns. Knows nothing of run folders."""
