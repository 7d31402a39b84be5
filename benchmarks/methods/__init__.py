"""What a suite can run: one method a file, whose name is the file's.

A method says which memory is built, how it is read, and how test samples are classified. Any
method with a memory can classify by the nearest mean of its exemplars instead of the network's
output layer: `herding+nem`. A selector of the engine that has no file here runs as it is, as a
class-balanced memory chosen again after each experience.
"""

from benchmarks.methods._base import Method
from benchmarks.methods._find import OPTION, REGISTRY, find, names

__all__ = ["OPTION", "REGISTRY", "Method", "find", "names"]
