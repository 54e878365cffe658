"""What tests share: datasets, commands, studies, faults."""
