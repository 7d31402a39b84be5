"""A synthetic run folder of a generative suite: what a run would have written, without training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.generative.pictures import LAST, draw_images, draw_modes, picture_name
from benchmarks.generative.record import GenerativeResults, GenerativeRun
from benchmarks.reporting.events import EventLog
from benchmarks.reporting.results import write_results

MODES = torch.cartesian_prod(torch.arange(-4.0, 6.0, 2.0), torch.arange(-4.0, 6.0, 2.0))

POINTS = [
    {"name": "recovered_modes", "title": "recovered modes", "higher_is_better": True},
    {"name": "high_quality", "title": "high-quality samples", "higher_is_better": True,
     "percent": True},
    {"name": "kl", "title": "KL of mode counts", "higher_is_better": False},
]  # fmt: skip
IMAGES = [
    {"name": "frechet_distance", "title": "Fréchet distance (classifier features)",
     "higher_is_better": False},
    {"name": "recall", "title": "recall (classifier features)", "higher_is_better": True,
     "percent": True},
]  # fmt: skip

STEPS = (0, 500, 1000, 1500, 2000)
SPEED = {"plain": 1.0, "k-center": 1.6, "top-k": 0.99, "random-subset": 1.0}
GAIN = {"plain": 0.0, "k-center": 3.0, "top-k": 0.4, "random-subset": -1.5}


def value_of(measure: str, method: str, size: int, seed: int, part: float) -> float:
    """A value that improves over a course, more so for some methods and for larger batches."""
    noise = np.random.default_rng([seed, size, sum(map(ord, method + measure))])
    skill = (16 + GAIN.get(method, 0.0) + math.log2(size / 64) * 1.5 + noise.normal(0, 0.4)) / 25
    skill *= 1 - math.exp(-4 * part)
    return {
        "recovered_modes": 25 * skill,
        "high_quality": skill,
        "kl": 3.2 * (1 - skill),
        "frechet_distance": 300 * math.exp(-5 * skill),
        "recall": skill,
    }[measure]


def make_run(
    method: str = "plain",
    size: int = 64,
    seed: int = 0,
    *,
    measures=POINTS,
    steps=STEPS,
    cpu: bool = True,
    **changes,
) -> dict:
    """One entry of results.json."""
    share = (SPEED.get(method, 1.0) - 1.0) if method == "k-center" else 0.0
    pace = SPEED.get(method, 1.0) * (0.7 + 0.3 * size / 64) * (1 + seed / 100)
    clock = [20.0 * pace * step / steps[-1] for step in steps]
    course = {
        "steps": list(steps),
        "seconds": [1.1 * second for second in clock],
        "selection_seconds": [second * share / (1 + share) for second in clock],
        "measures": {
            m["name"]: [value_of(m["name"], method, size, seed, s / steps[-1]) for s in steps]
            for m in measures
        },
    }
    if cpu:
        course["cpu_seconds"] = clock
    return {
        "method": method,
        "batch_size": size,
        "seed": seed,
        "course": course,
        "measures": list(measures),
        "seconds": {
            "train": course["seconds"][-1] - course["selection_seconds"][-1],
            "select": course["selection_seconds"][-1],
            "evaluate": 3.0,
        },
        "passes": {"forward": 4 * size * steps[-1], "backward": 3 * size * steps[-1]},
        "selection_passes": {"forward": 0, "backward": 0},
        "rows": 100_000,
        "rows_kept": 50_000 if method == "random-subset" else 100_000,
        **changes,
    }


def make_results(
    methods=("plain", "k-center", "top-k", "random-subset"),
    sizes=(64, 128),
    seeds=(0, 1, 2, 3, 4),
    suite="gaussians-gan",
    **options,
) -> dict:
    """A whole results.json as plain dictionaries."""
    return {
        "schema": 1,
        "suite": suite,
        "kind": "generative",
        "environment": {"torch": "2.14.1", "threads": 1, "commit": "abc1234"},
        "settings": {
            "title": "A GAN on 25 Gaussians",
            "learner": "gan",
            "steps": STEPS[-1],
            "command": f"clcore run {suite}",
            "published": [
                {"method": "k-center", "batch_size": 64, "measure": "high_quality", "value": 0.9,
                 "source": "A paper", "note": "other networks"},
            ],
        },
        "runs": [make_run(method, size, seed, **options)
                 for seed in seeds for size in sizes for method in methods],
    }  # fmt: skip


def write_cell(
    folder: Path, run: dict, results: dict, *, finish: bool = True, draw: bool = True
) -> Path:
    """One cell's folder as a run leaves it; returns the folder."""
    cell = folder / "cells" / GenerativeRun.model_validate(run).cell
    cell.mkdir(parents=True)
    course = run["course"]
    with EventLog(cell / "events.jsonl") as log:
        log.write(
            {
                "event": "start",
                "schema": 1,
                "suite": results["suite"],
                "kind": "generative",
                "method": run["method"],
                "batch_size": run["batch_size"],
                "seed": run["seed"],
                "cell": cell.name,
                "settings": results["settings"],
                "environment": results["environment"],
            }
        )
        for place, steps in enumerate(course["steps"]):
            point = {
                "event": "point",
                "iteration": steps,
                "steps": steps,
                "seconds": course["seconds"][place],
                "selection_seconds": course["selection_seconds"][place],
                "measures": {name: values[place] for name, values in course["measures"].items()},
                "losses": {"generator": 1.0 + place, "discriminator": 0.5} if steps else {},
            }
            if draw:
                part = steps / course["steps"][-1]
                draw_samples(run, cell / picture_name(steps), part)
                point["picture"] = picture_name(steps)
            log.write(point)
        if finish:
            if draw:
                (cell / LAST).write_bytes((cell / picture_name(steps)).read_bytes())
            (cell / "result.json").write_text(json.dumps(run))
            log.write({"event": "end", "iteration": steps, "result": run, "artifacts": {}})
    return cell


def draw_samples(run: dict, file: Path, part: float) -> None:
    """Points that gather around modes, or images that come out of noise."""
    generator = torch.Generator().manual_seed(run["seed"])
    if "recovered_modes" in run["course"]["measures"]:
        reached = 1 + int(24 * part * (0.6 if run["method"] == "plain" else 0.95))
        place = torch.randint(reached, (400,), generator=generator)
        spread = 0.6 * (1 - part) + 0.06
        points = MODES[place] + spread * torch.randn(400, 2, generator=generator)
        draw_modes(points, MODES, file, radius=0.2)
        return
    ramp = torch.linspace(-1, 1, 28)
    clean = (ramp[:, None] * ramp[None, :] * 3).expand(32, 1, 28, 28)
    noise = torch.randn(32, 1, 28, 28, generator=generator)
    draw_images(part * clean + (1 - part) * noise, file, low=-1.0, high=1.0)


def write_run_folder(folder: Path, **options) -> Path:
    """A whole run folder; pictures are drawn for the first seed only."""
    record = make_results(**options)
    folder.mkdir(parents=True)
    write_results(folder, GenerativeResults.model_validate(record))
    first = min(run["seed"] for run in record["runs"])
    for run in record["runs"]:
        write_cell(folder, run, record, draw=run["seed"] == first)
    return folder


@pytest.fixture(scope="session")
def synthetic() -> SimpleNamespace:
    """The makers above."""
    return SimpleNamespace(
        run=make_run, results=make_results, cell=write_cell, folder=write_run_folder, images=IMAGES
    )


@pytest.fixture(scope="session")
def synthetic_run(tmp_path_factory) -> Path:
    """The folder of a finished run on points: four methods, two batch sizes, five seeds."""
    return write_run_folder(tmp_path_factory.mktemp("generative") / "points")


def tiny_suite(learner: str = "gan", **changes):
    """A suite on points or digits that trains for a second a cell."""
    from dataclasses import replace

    from benchmarks.generative import GenerativeSuite, NetworkSettings

    networks = {
        "gan": NetworkSettings("sn-gan", hidden=(4, 8), blocks=0),
        "points": NetworkSettings("mlp", hidden=(8,)),
        "vae": NetworkSettings("mlp", hidden=(16,)),
        "diffusion": NetworkSettings("unet", hidden=(8,), blocks=1),
    }
    points = learner == "points"
    suite = GenerativeSuite(
        name="tiny-generative",
        version=1,
        title="A few steps",
        dataset="gaussians" if points else "digits",
        learner="gan" if points else learner,
        steps=6,
        measure={"points": "recovered_modes", "vae": "log_likelihood"}.get(
            learner, "frechet_distance"
        ),
        methods=("plain",),
        batch_sizes=(8,),
        seeds=(0,),
        network=networks[learner],
        learning_rate=1e-3,
        latent_size=4,
        ema=0.0 if learner == "vae" else 0.9,
        points=200,
        train_rows=None if points else 300,
        references=None if points else 60,
        samples=40,
        sample_steps=2,
        timesteps=20,
        pseudo_points=10,
        clusters=5,
        likelihood_rows=20,
        likelihood_samples=5,
        binarise=learner == "vae",
        evaluate_every=2,
        extractor_epochs=1,
    )
    return replace(suite, **changes)


@pytest.fixture(scope="session")
def make_suite():
    return tiny_suite
