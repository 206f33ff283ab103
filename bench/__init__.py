"""Benchmarks: what the picker costs, and what its decisions are worth. Results are kept and can be made again."""
