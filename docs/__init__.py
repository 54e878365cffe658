"""The documentation site: pages, the generator of their tables, and the exported results that the tables show."""
