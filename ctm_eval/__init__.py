"""Benchmarks, engines, grading, selection and metrics. Knows nothing of training or of run folders."""
