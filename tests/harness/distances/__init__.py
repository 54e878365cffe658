"""Tests of harness.distances."""
