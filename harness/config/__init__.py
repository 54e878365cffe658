"""Settings as values: fingerprints, serialisation, files by content."""
