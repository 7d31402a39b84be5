"""Bounded memories over a stream, each an Avalanche storage policy.

A memory is an `ExemplarStore` (tensors, one row an exemplar), a rule that says which rows enter
(`ReservoirBuffer`, `RingBuffer`, …), and, apart from it, a `Retrieval` rule that says which are
read.
"""

from buffers.balanced_reservoir import BalancedReservoirBuffer
from buffers.base import Buffer
from buffers.class_balancing_reservoir import ClassBalancingReservoirBuffer
from buffers.consolidating import ConsolidatingBuffer
from buffers.exemplars import Exemplars
from buffers.herding import HerdingBuffer
from buffers.incoming import Incoming
from buffers.k_means import KMeansBuffer
from buffers.memory import Memory
from buffers.reservoir import ReservoirBuffer
from buffers.retrieval import Retrieval
from buffers.ring import RingBuffer
from buffers.selection import SelectorBuffer
from buffers.store import ExemplarStore
from buffers.substitute import use_buffer

__all__ = [
    "BalancedReservoirBuffer",
    "Buffer",
    "ClassBalancingReservoirBuffer",
    "ConsolidatingBuffer",
    "ExemplarStore",
    "Exemplars",
    "HerdingBuffer",
    "Incoming",
    "KMeansBuffer",
    "Memory",
    "ReservoirBuffer",
    "Retrieval",
    "RingBuffer",
    "SelectorBuffer",
    "use_buffer",
]
