"""Problems in, annotated tables out: sample, select, roll out, store, show."""
