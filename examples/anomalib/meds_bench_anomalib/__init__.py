"""Image models of anomalib as detectors of MeDS-Bench; `pyproject.toml` names the modules."""
