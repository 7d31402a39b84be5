"""The commands of `clcore`, one file each."""
