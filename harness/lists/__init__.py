"""Published training lists as data; see `harness.published_lists`."""
