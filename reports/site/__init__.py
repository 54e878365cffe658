"""Site over all studies of a results folder: static pages that open from disk, with curves, runs and images."""
