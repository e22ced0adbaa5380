"""Benchmarks, engines, grading, selection and metrics, independent of training and of run folders."""
