"""Tests of harness.networks."""
