"""What `python -m harness` can do: a file per command, a frozen dataclass whose fields are its options."""
