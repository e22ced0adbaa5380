"""Problems in, annotated tables out: sample, select, roll out, store, show, publish, query."""

from ctm_data.query import connect
from ctm_data.run.sources import load

__all__ = ["connect", "load"]
