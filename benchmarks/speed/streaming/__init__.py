"""What the group `out-of-core` measures: selections by several processes from rows on the disk."""
