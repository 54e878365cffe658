"""Tests of whole commands and of real Ray clusters."""
