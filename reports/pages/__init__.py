"""Documents: pages, captions, files, and the runs behind each number."""
