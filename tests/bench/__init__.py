"""Benchmarks: speed and memory side by side with alternatives, in one run.   make bench"""
