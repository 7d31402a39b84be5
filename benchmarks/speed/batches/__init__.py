"""What the group `generative` measures: batches that are chosen, and what choosing them costs."""
