"""The run folder: its store, its tables, and where runs are read from."""
