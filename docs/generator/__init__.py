"""Generator of the parts of the pages that repeat the code, the command-line help, or results of finished runs."""
