"""Tests of harness.memory."""
