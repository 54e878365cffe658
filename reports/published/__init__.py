"""Published numbers, and the tables and figures numbered as in the papers."""
