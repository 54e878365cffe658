"""Studies: one file each, and the profiles that they run on."""
