"""Benchmarks: one file a question, all sides of it in one run."""
