"""Tables of results: cells, labels, and means over categories."""
