"""What each process of the test of distributed training does."""

import os
import signal
import sys
import time
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import nn

from clcore import Coreset
from clcore.distributed import WorkerError
from clcore.errors import ArgumentError
from strategies.offline.distributed import DistributedEpochs

folder = Path(sys.argv[1])
dist.init_process_group("gloo")
rank = dist.get_rank()
data = load_file(folder / "data.safetensors")
torch.manual_seed(rank)
model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
if rank == 0:
    model.load_state_dict(load_file(folder / "model.safetensors"))
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-3)
epochs = DistributedEpochs(
    model, optimizer, nn.CrossEntropyLoss(), (data["x"], data["y"]), batch_size=9, seed=4
)
coreset = Coreset.of(data["rows"], weights=data["weights"])
losses = [epochs.train(coreset), epochs.train(None), epochs.train(coreset)]
state = {name: value.clone() for name, value in model.state_dict().items()}
save_file({**state, "losses": torch.tensor(losses)}, folder / f"trained-{rank}.safetensors")
weights = torch.ones(60, dtype=torch.float64)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for heaviest in (59.0, 59.0, 177.0):
        weights[1] = heaviest
        epochs.train(Coreset.of(torch.arange(60), weights=weights.clone()))
print(f"warned {sum('times the mean' in str(warning.message) for warning in told)} times")
try:
    epochs.train(Coreset.of([rank, 5]))
except ArgumentError as error:
    print(f"refused: {error}")
if rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
started = time.monotonic()
try:
    epochs.train(coreset)
except WorkerError as error:
    print(f"after {time.monotonic() - started:.1f} s: {error}")
