"""What the tests of several kinds of suites need: a wandb run, read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


class InspectedRun:
    """A wandb run folder, read back with wandb's own reader."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        wandb = Path(sys.executable).with_name("wandb")
        read = subprocess.run(
            [wandb, "leet", "inspect", "--json", str(folder)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        self.records = [json.loads(line) for line in read.stdout.splitlines()]
        assert "deprecated" not in read.stdout.lower()

    def of(self, kind: str) -> list[dict]:
        """The contents of all records of a type."""
        return [record[kind] for record in self.records if record["type"] == kind]

    @property
    def history(self) -> list[dict]:
        """What each call of `log` logged."""
        return [entry["item"] for entry in self.of("history")]

    def series(self, axis: str, key: str) -> dict:
        """One metric on its axis."""
        return {row[axis]: row[key] for row in self.history if key in row}

    @property
    def axes(self) -> dict:
        """Pattern of keys to the counter that is their axis."""
        return {m["glob_name"]: m["step_metric"] for m in self.of("metric") if "glob_name" in m}

    @property
    def config(self) -> dict:
        """The run's config."""
        return self.of("run")[0]["config"]["update"]

    @property
    def artifacts(self) -> dict:
        """Type of artifact to name in it and path of each file."""
        found = {}
        for artifact in self.of("artifact"):
            contents = artifact["manifest"]["contents"]
            found.setdefault(artifact["type"], {}).update(
                {Path(entry["path"]).name: Path(entry["local_path"]) for entry in contents}
            )
        return found

    def file(self, path: str) -> Path:
        """A media file of the run."""
        return self.folder / "files" / path


@pytest.fixture(scope="session")
def inspect_run() -> type[InspectedRun]:
    """Opens a wandb run folder."""
    return InspectedRun
