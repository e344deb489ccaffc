"""Whole programs, started as a user starts them: for the tests, the demo and the benchmarks."""
