"""Launch of a study by a command: selection of experiments, weights, dry runs."""
