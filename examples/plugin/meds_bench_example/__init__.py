"""Example of a plug-in for MeDS-Bench; `pyproject.toml` names its modules."""
