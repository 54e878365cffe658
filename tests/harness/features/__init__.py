"""Tests of harness.features."""
