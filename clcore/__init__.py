"""clcore."""
