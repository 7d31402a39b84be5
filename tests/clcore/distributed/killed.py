"""Process 1 is killed while process 0 waits for it in a selection."""

import os
import signal
import sys
import time

import torch

from clcore.distributed import Group, Shards, WorkerError, select_partitioned

group = Group.join(timeout=300)
x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
select_partitioned("k-center", Shards(features=x), 5, group=group)
if group.rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
started = time.monotonic()
try:
    select_partitioned("k-center", Shards(features=x), 5, group=group)
except WorkerError as error:
    print(f"after {time.monotonic() - started:.1f} s: {error}")
    sys.exit(3)
