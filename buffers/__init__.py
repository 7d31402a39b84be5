"""Bounded memories over a stream, each an Avalanche storage policy.

A memory is an `ExemplarStore` (tensors, one row an exemplar), a rule that says which rows enter
(`ReservoirBuffer`, `RingBuffer`, …), and, apart from it, a `Retrieval` rule that says which are
read.
"""

from buffers.aser import ASERBuffer
from buffers.auto import AutoBuffer
from buffers.balanced_reservoir import BalancedReservoirBuffer
from buffers.base import Buffer
from buffers.bcsr import BCSRBuffer
from buffers.class_balancing_reservoir import ClassBalancingReservoirBuffer
from buffers.consolidating import ConsolidatingBuffer
from buffers.csrel import CSReLBuffer
from buffers.exemplars import Exemplars
from buffers.gcr import GCRBuffer
from buffers.gdumb import GDumbBuffer
from buffers.greedy_coreset import GreedyCoresetBuffer
from buffers.gss import GSSBuffer
from buffers.herding import HerdingBuffer
from buffers.incoming import Incoming
from buffers.k_means import KMeansBuffer
from buffers.loss_aware_reservoir import LossAwareReservoirBuffer
from buffers.memory import Memory
from buffers.ocs import OCSBuffer
from buffers.pbcs import PBCSBuffer
from buffers.rainbow import RainbowBuffer
from buffers.reservoir import ReservoirBuffer
from buffers.retrieval import Retrieval
from buffers.ring import RingBuffer
from buffers.selection import SelectorBuffer
from buffers.store import ExemplarStore
from buffers.substitute import use_buffer

__all__ = [
    "ASERBuffer",
    "AutoBuffer",
    "BCSRBuffer",
    "BalancedReservoirBuffer",
    "Buffer",
    "CSReLBuffer",
    "ClassBalancingReservoirBuffer",
    "ConsolidatingBuffer",
    "ExemplarStore",
    "Exemplars",
    "GCRBuffer",
    "GDumbBuffer",
    "GSSBuffer",
    "GreedyCoresetBuffer",
    "HerdingBuffer",
    "Incoming",
    "KMeansBuffer",
    "LossAwareReservoirBuffer",
    "Memory",
    "OCSBuffer",
    "PBCSBuffer",
    "RainbowBuffer",
    "ReservoirBuffer",
    "Retrieval",
    "RingBuffer",
    "SelectorBuffer",
    "use_buffer",
]
