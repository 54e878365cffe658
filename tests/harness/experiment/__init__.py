"""Tests of harness.experiment."""
