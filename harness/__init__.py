"""Benchmark pipeline: samples, contamination, encoding, distances, memories, distillation, fine-tuning, metrics."""
