"""Launch of a study by a command: selection of experiments, rounds, weights, dry runs."""
