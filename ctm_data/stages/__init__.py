"""The stages of a run, one file for each table that they write."""
