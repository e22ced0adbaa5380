"""Values at every token: the curves, the ways to estimate them, and the rules that mark tokens."""
