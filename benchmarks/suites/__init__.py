"""The suites: one file each, data, model, schedule, methods, and the numbers to compare with."""

from benchmarks.suites._base import CHOICE, FIXED, AnySuite, Published, Suite
from benchmarks.suites._find import REGISTRY, find, names

__all__ = ["CHOICE", "FIXED", "REGISTRY", "AnySuite", "Published", "Suite", "find", "names"]
