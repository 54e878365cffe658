"""The published numbers, and tables and figures by the papers' numbers."""
