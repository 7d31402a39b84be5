"""Contestants side by side: each in a process of its own, one objective for all of them."""
