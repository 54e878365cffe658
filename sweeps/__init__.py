"""Studies, one module each, and the profiles that the studies run on."""
