"""Tests of harness.training."""
