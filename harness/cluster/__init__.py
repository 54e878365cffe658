"""Ray: the only room that knows it. Start-up, actors for blocks of work, Ray Train for loops, Ray Tune for studies."""
