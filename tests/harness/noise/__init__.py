"""Tests of harness.noise."""
