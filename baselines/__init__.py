"""Baselines for MeDS, with the contract of `harness.detectors`: one module or package each, and shared packages."""
