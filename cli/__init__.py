"""The `ctm` command: wires options to library calls and prints. No logic."""
