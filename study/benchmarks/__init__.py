"""Benchmarks: training loops, coverage of intervals, timings."""
