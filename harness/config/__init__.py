"""Settings as frozen dataclasses: fingerprints, serialisation, and files identified by content."""
