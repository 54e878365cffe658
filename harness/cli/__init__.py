"""Commands of `python -m harness`: one file per command, one frozen dataclass whose fields are the options."""
