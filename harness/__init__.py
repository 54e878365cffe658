"""The benchmark: samples -> contaminate -> encode once -> distances -> memory -> distil -> fine-tune -> metrics."""
