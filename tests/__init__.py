"""Tests: the properties that hold, with oracles of their own."""
