"""Tests of harness.evaluation."""
