"""A synthetic run folder: what the runner would have written, without training anything."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks.reporting.events import EventLog
from benchmarks.reporting.images import exemplar_grid, write_picture
from benchmarks.reporting.results import Results, write_results

LEVELS = {
    "reservoir": 0.62,
    "herding": 0.7,
    "ring": 0.6,
    "k-means": 0.66,
    "naive": 0.0,
    "joint": 1.0,
}
SECONDS = {"reservoir": 0.004, "herding": 0.31, "ring": 0.003, "k-means": 0.05}


def make_matrix(method: str, seed: int, experiences: int) -> list[list[float]]:
    """Accuracies that fall with age, less for a better method."""
    noise = np.random.default_rng([seed, len(method)])
    keep = LEVELS.get(method, 0.65)
    matrix = [
        [
            0.95 * keep ** (math.log1p(row - column)) if row >= column else 0.02 * (seed % 2)
            for column in range(experiences)
        ]
        for row in range(experiences)
    ]
    if method == "naive":
        matrix = [[0.96 * (r == c) for c in range(experiences)] for r in range(experiences)]
    if method == "joint":
        matrix = [[0.95] * experiences for _ in range(experiences)]
    jitter = noise.normal(0, 0.012, (experiences, experiences))
    return [
        [float(min(max(value + jitter[r, c], 0), 1)) for c, value in enumerate(row)]
        for r, row in enumerate(matrix)
    ]


def make_run(method: str, seed: int, size: int, experiences: int = 5) -> dict:
    """One entry of results.json, with metrics that follow from its matrix."""
    matrix = np.array(make_matrix(method, seed, experiences))
    curve = [matrix[i, : i + 1].mean() for i in range(experiences)]
    earlier = range(experiences - 1)
    best = [matrix[:-1, j].max() - matrix[-1, j] for j in earlier]
    back = [matrix[-1, j] - matrix[j, j] for j in earlier]
    reference = method in ("naive", "joint")
    memory = 0 if reference else size
    passes = 4000 if method == "herding" else 0
    return {
        "method": method,
        "seed": seed,
        "memory_size": memory,
        "memory_bytes": memory * 72,
        "accuracy_matrix": matrix.tolist(),
        "final_accuracy": float(matrix[-1].mean()),
        "average_accuracy": float(np.mean(curve)),
        "average_forgetting": float(np.mean(best)),
        "backward_transfer": float(np.mean(back)),
        "forward_transfer": None if seed else -0.01,
        "learning_accuracy": float(np.diag(matrix).mean()),
        "seconds": {
            "train": 3.1 + seed / 10,
            "select": SECONDS.get(method, 0.0) * (1 + seed / 10),
            "evaluate": 0.4,
        },
        "passes": {"forward": 14370, "backward": 14370},
        "selection_passes": {"forward": passes, "backward": 0},
        "memory_class_counts": {} if reference else {str(c): memory // 10 for c in range(10)},
    }


def make_results(
    methods=("reservoir", "herding", "ring", "k-means", "naive", "joint"),
    seeds=(0, 1, 2),
    sizes=(200,),
    suite="split-digits",
) -> dict:
    """A whole results.json as plain dictionaries."""
    return {
        "schema": 1,
        "suite": suite,
        "kind": "continual",
        "environment": {"python": "3.11.7", "torch": "2.14.1", "threads": 1, "commit": "abc1234"},
        "settings": {"epochs": 1, "batch_size": 10, "optimizer": {"name": "sgd", "lr": 0.1}},
        "runs": [
            make_run(method, seed, size)
            for size in sizes
            for method in methods
            for seed in seeds
            if method not in ("naive", "joint") or size == sizes[0]
        ],
    }


def write_cell(folder: Path, run: dict, results: dict, *, finish: bool = True) -> Path:
    """One cell's folder as the runner leaves it; returns the folder."""
    cell = folder / "cells" / f"{run['method']}-m{run['memory_size']}-s{run['seed']}"
    cell.mkdir(parents=True)
    matrix = run["accuracy_matrix"]
    count, classes = len(matrix), 10
    memory = run["memory_size"] > 0
    generator = torch.Generator().manual_seed(run["seed"])
    with EventLog(cell / "events.jsonl") as log:
        log.write(
            {
                "event": "start",
                "schema": 1,
                "suite": results["suite"],
                "kind": results["kind"],
                "method": run["method"],
                "seed": run["seed"],
                "memory_size": run["memory_size"],
                "cell": cell.name,
                "experiences": count,
                "classes": classes,
                "class_names": [f"digit {c}" for c in range(classes)],
                "settings": results["settings"],
                "environment": results["environment"],
            }
        )
        for index, row in enumerate(matrix):
            iteration = (index + 1) * 20
            for step in (iteration - 10, iteration):
                log.write(
                    {
                        "event": "train",
                        "iteration": step,
                        "experience": index,
                        "loss": 2.0 / step,
                        "accuracy": 1 - 1 / step,
                        "replay_loss": 1.0 / step if index and memory else None,
                    }
                )
            seen = row[: index + 1]
            log.write(
                {
                    "event": "evaluation",
                    "iteration": iteration,
                    "experience": index,
                    "phase": "end",
                    "accuracies": row,
                    "average_accuracy": sum(seen) / len(seen),
                    "average_forgetting": 0.01 * index,
                }
            )
            if memory:
                write_memory(log, cell, run, index, iteration, generator)
        if finish:
            artifacts = {}
            if memory:
                save_file({"x": torch.zeros(4, 1, 8, 8)}, cell / "memory.safetensors")
                artifacts["memory"] = "memory.safetensors"
            (cell / "result.json").write_text(json.dumps(run))
            log.write({"event": "end", "iteration": iteration, "result": run,
                       "artifacts": artifacts})  # fmt: skip
    return cell


def write_memory(log, cell, run, index, iteration, generator) -> None:
    """The memory and selection events at the end of one experience."""
    seen = 2 * (index + 1)
    labels = torch.arange(run["memory_size"]) % seen
    base = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)
    x = (base * (1 + labels.reshape(-1, 1, 1, 1)) % 1.0 + 0.15 * torch.rand(
        len(labels), 1, 8, 8, generator=generator)).clamp(0, 1)  # fmt: skip
    name = f"exemplars-{index:02d}.png"
    write_picture(exemplar_grid((x * 255).to(torch.uint8), labels), cell / name)
    counts = torch.bincount(labels, minlength=seen).tolist()
    log.write(
        {
            "event": "memory",
            "iteration": iteration,
            "experience": index,
            "size": run["memory_size"],
            "capacity": run["memory_size"],
            "bytes": run["memory_bytes"],
            "class_counts": {str(c): n for c, n in enumerate(counts)},
            "task_counts": {"0": run["memory_size"]},
            "age_mean": 100.0 * index,
            "age_max": 290.0 * (index + 1),
            "turnover": 1.0 / (index + 1),
            "exemplars": name,
        }
    )
    log.write(
        {
            "event": "selection",
            "iteration": iteration,
            "experience": index,
            "seconds": run["seconds"]["select"] * (index + 1) / 5,
            "forward_passes": run["selection_passes"]["forward"] * (index + 1) // 5,
            "backward_passes": 0,
        }
    )


def write_run_folder(folder: Path, **options) -> Path:
    """A whole run folder, event logs and pictures included."""
    record = make_results(**options)
    folder.mkdir(parents=True)
    write_results(folder, Results.model_validate(record))
    (folder / "settings.json").write_text(json.dumps(record["settings"]))
    for run in record["runs"]:
        write_cell(folder, run, record)
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run of six methods, three seeds, one memory size."""
    return write_run_folder(tmp_path / "runs" / "demo")


@pytest.fixture
def record() -> dict:
    """A results.json as plain dictionaries."""
    return make_results()


@pytest.fixture
def synthetic() -> SimpleNamespace:
    """The makers above, for tests that want other methods, seeds or sizes."""
    return SimpleNamespace(
        run=make_run, results=make_results, cell=write_cell, folder=write_run_folder
    )


@pytest.fixture
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who was never logged in to wandb, wherever the tests run."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    # wandb keeps what it read from the environment for as long as the process lives.
    monkeypatch.setattr("wandb.sdk.wandb_setup._singleton", None)
