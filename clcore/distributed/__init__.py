"""Selection over rows that lie with several processes, on `torch.distributed`.

`torchrun`, SLURM, Kubernetes and Ray Train all start such processes; what is here asks only for the
process group. One process alone works too, without a group. See docs/distributed.md.
"""

from clcore.distributed.farthest import select_farthest
from clcore.distributed.greedy import select_partitioned
from clcore.distributed.group import Group, WorkerError
from clcore.distributed.shards import Shards

__all__ = ["Group", "Shards", "WorkerError", "select_farthest", "select_partitioned"]
