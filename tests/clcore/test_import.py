"""`import clcore` costs little more than `import torch`, and its surface is small."""

import subprocess
import sys

import clcore

HEAVY = ["avalanche", "wandb", "matplotlib", "sklearn", "scipy", "torchvision", "pandas"]


def test_import_is_light():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import clcore"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time:")]
    total = {name.strip(): cumulated.strip() for _, cumulated, name in rows}
    assert [name for name in HEAVY if name in total] == []
    assert [name for name in total if name.startswith("clcore.selectors.")] == []
    ours = sum(
        int(own.partition(":")[2]) for own, _, name in rows if name.strip().startswith("clcore")
    )
    assert ours < 0.15 * int(total["torch"])


def test_small_surface():
    assert len(clcore.__all__) <= 20
    assert sorted(clcore.__all__, key=str.lower) == sorted(set(clcore.__all__), key=str.lower)
    for name in clcore.__all__:
        assert getattr(clcore, name) is not None
