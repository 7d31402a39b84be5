"""Distributed training: two processes take the very steps of one; a killed one is noticed."""

import importlib.util
import re
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from clcore import ArgumentError, Coreset
from strategies.offline.distributed import DistributedEpochs

HERE = Path(__file__).parent
_place = HERE.parents[1] / "clcore" / "distributed" / "processes.py"
_spec = importlib.util.spec_from_file_location("processes", _place)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)


def data():
    generator = torch.Generator().manual_seed(0)
    return {
        "x": torch.randn(60, 5, generator=generator),
        "y": torch.randint(3, (60,), generator=generator),
        # 28 rows in batches of 9: the last batch has one row, so that a process has none.
        "rows": torch.randperm(60, generator=generator)[:28],
        "weights": torch.rand(28, generator=generator) * 4 + 0.2,
    }


def network():
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))


def by_hand(model, columns):
    """The same three epochs, written out."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-3)
    orders, losses = torch.Generator().manual_seed(4), []
    everything = torch.arange(60), torch.ones(60)
    chosen = columns["rows"], columns["weights"] / columns["weights"].mean()
    for rows, weights in (chosen, everything, chosen):
        order, total = torch.randperm(len(rows), generator=orders), []
        for places in torch.split(order, 9):
            batch = rows[places]
            optimizer.zero_grad()
            each = nn.functional.cross_entropy(
                model(columns["x"][batch]), columns["y"][batch], reduction="none"
            )
            loss = (weights[places] * each).mean()
            loss.backward()
            optimizer.step()
            total.append(loss.item())
        losses.append(sum(total) / len(total))
    return losses


def test_two_processes_take_the_steps_of_one_and_a_killed_one_is_an_error(tmp_path):
    columns, model = data(), network()
    save_file(columns, tmp_path / "data.safetensors")
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    started = processes.start(HERE / "trained_together.py", tmp_path)
    (said, code), (other, killed) = processes.finish(started)
    assert code == 0, said
    assert killed == -9, other
    losses = by_hand(model, columns)
    for rank in range(2):
        trained = load_file(tmp_path / f"trained-{rank}.safetensors")
        assert trained["losses"].tolist() == pytest.approx(losses, abs=1e-5)
        for name, value in model.state_dict().items():
            assert torch.allclose(trained[name], value, atol=2e-6), name
    assert "refused: coreset is not the same in every process" in said
    assert "refused: coreset is not the same in every process" in other
    assert float(re.search(r"after ([0-9.]+) s", said)[1]) < 15
    assert "another process of the training was killed" in said
    assert "warned 2 times" in said
    assert "warned 0 times" in other


def test_one_process_alone_takes_the_same_steps():
    columns, model, other = data(), network(), network()
    losses = by_hand(model, columns)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.5, momentum=0.9, weight_decay=1e-3)
    pair = (columns["x"], columns["y"])
    epochs = DistributedEpochs(other, optimizer, nn.CrossEntropyLoss(), pair, batch_size=9, seed=4)
    coreset = Coreset.of(columns["rows"], weights=columns["weights"])
    assert [epochs.train(c) for c in (coreset, None, coreset)] == pytest.approx(losses, abs=1e-5)
    for name, value in model.state_dict().items():
        assert torch.allclose(other.state_dict()[name], value, atol=2e-6), name


def heavy(heaviest, rows=60):
    weights = torch.ones(rows, dtype=torch.float64)
    weights[1] = heaviest
    return Coreset.of(torch.arange(rows), weights=weights)


def test_rows_that_outweigh_their_batches_are_warned_of_once_a_coreset():
    columns, model = data(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    pair = (columns["x"], columns["y"])
    epochs = DistributedEpochs(model, optimizer, nn.CrossEntropyLoss(), pair, batch_size=9)
    # 60 · 59 / 118 = 30 times the mean, and 60 · 177 / 236 = 45
    with pytest.warns(UserWarning, match="a row of the coreset weighs 30 times the mean") as told:
        losses = [epochs.train(c) for c in (heavy(59.0), heavy(59.0), None, heavy(59.0))]
    assert len(losses) == 4
    assert len(told) == 1
    assert told[0].filename == __file__
    assert "as much as 3.3 batches of 9" in str(told[0].message)
    with pytest.warns(UserWarning, match="weighs 45 times the mean") as told:
        epochs.train(heavy(177.0))
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        epochs.train(heavy(10.0))
        epochs.batch_size = 40
        epochs.train(heavy(59.0))


def test_what_is_wrong_is_said():
    columns, model = data(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pair = (columns["x"], columns["y"])
    with pytest.raises(ArgumentError, match="batch_size"):
        DistributedEpochs(model, optimizer, nn.CrossEntropyLoss(), pair, batch_size=0)
    with pytest.raises(ArgumentError, match="no parameters"):
        DistributedEpochs(nn.Identity(), optimizer, nn.CrossEntropyLoss(), pair)
    epochs = DistributedEpochs(model, optimizer, nn.CrossEntropyLoss(), pair)
    with pytest.raises(ArgumentError, match="no rows"):
        epochs.train(Coreset.of([]))
    with pytest.raises(ArgumentError, match="names row 60, and the data have 60 rows"):
        epochs.train(Coreset.of([1, 60]))
    with pytest.raises(ArgumentError, match="names row -2, and the data have 60 rows"):
        epochs.train(Coreset.of([1, -2]))
    with pytest.raises(ArgumentError, match="all zero"):
        epochs.train(Coreset.of([1, 2], weights=[0.0, 0.0]))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        DistributedEpochs(nn.Linear(3, 3), optimizer, nn.CrossEntropyLoss(), pair).train()
