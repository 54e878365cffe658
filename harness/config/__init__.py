"""Settings as frozen dataclasses: fingerprints, serialisation, files by content, plug-ins, versions and commands."""
