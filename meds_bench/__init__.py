"""The program `meds-bench`, which has the commands of all packages as verbs."""
