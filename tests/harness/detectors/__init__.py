"""Tests of harness.detectors."""
