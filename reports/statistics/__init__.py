"""Statistics of results: intervals that name their sources of chance, comparisons, ranks, robustness and changes."""
