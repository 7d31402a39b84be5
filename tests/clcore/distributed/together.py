"""What each of two processes does; the tests compare what they write."""

import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from clcore.distributed import Group, Shards, WorkerError, select_farthest, select_partitioned

folder = Path(sys.argv[1])
group = Group.join(timeout=60)
data = load_file(folder / "data.safetensors")
shards = Shards(
    features=[folder / "a.npy", folder / "b.npy"], labels=data["labels"], weights=data["weights"]
)
plain = Shards(features=[folder / "a.npy", folder / "b.npy"])
out = {}


def keep(name, coreset):
    out[f"{name}.indices"] = coreset.indices
    out[f"{name}.weights"] = coreset.weights.double()
    for figure, value in coreset.report.items():
        out[f"{name}.{figure}"] = torch.tensor(value, dtype=torch.float64)


features = {"gradients": "features"}
keep("craig", select_partitioned("craig", shards, 20, group=group, **features))
keep("exact", select_partitioned("craig", shards, 20, group=group, exact=True, **features))
keep("parts", select_partitioned("craig", shards, 20, part_rows=100, group=group, **features))
keep("quick", select_partitioned("craig", shards, 20, first="kd-tree", group=group, **features))
keep("location", select_partitioned("facility-location", plain, 12, group=group))
keep("dpp", select_partitioned("dpp", plain, 6, group=group))
keep("farthest", select_farthest(plain, 15, group=group, exact=True))
keep("parted", select_farthest(plain, 15, group=group, part_rows=70, exact=True))
keep("in-step", select_farthest(plain, 15, group=group, synchronous=True))
keep("few", select_farthest(Shards(features=torch.eye(3)), 1, group=group, synchronous=True))


def fail():
    if group.rank == 1:
        raise ValueError("the disk is gone")
    return {}


try:
    group.exchange(fail)
except (ValueError, WorkerError) as error:
    print(type(error).__name__, error)
# The group goes on after a failure that was told.
parts = group.exchange(lambda: {"rank": torch.tensor([group.rank])})
assert [int(part["rank"]) for part in parts] == [0, 1]

impatient = Group.join(timeout=1.0)
started = time.monotonic()
if group.rank == 1:
    time.sleep(4)
else:
    try:
        impatient.exchange(dict)
    except WorkerError as error:
        print(f"gave up: {error}")
    assert time.monotonic() - started < 3.5
save_file({name: value.contiguous() for name, value in out.items()}, folder / f"{group.rank}.out")
