"""What a person reads of a run: its summary, its card, its heat map, the figures of an evaluation."""
