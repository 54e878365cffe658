"""The only package that imports Ray: sessions, actors for blocks of work, Ray Train for loops, Ray Tune for studies."""
