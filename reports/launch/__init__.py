"""Launch of reports by a command: options, and the drawing of one report or of all."""
