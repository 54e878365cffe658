"""Execution of work, cache of intermediate results, checkpoints and remote storage."""
