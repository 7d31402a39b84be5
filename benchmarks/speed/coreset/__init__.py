"""What the group `coreset-training` measures, one part a file."""
