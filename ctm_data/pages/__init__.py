"""The pages that people read of a run: its summary, its card, and the figures of an evaluation."""
