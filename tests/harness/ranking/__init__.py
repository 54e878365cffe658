"""Tests of harness.ranking."""
