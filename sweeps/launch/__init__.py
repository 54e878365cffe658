"""What a command does around a study: selection, rounds, weights, dry runs."""
