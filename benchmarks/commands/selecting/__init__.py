"""What `clcore select` does, step by step."""
