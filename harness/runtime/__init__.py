"""Where work runs, and where intermediate results are kept."""
