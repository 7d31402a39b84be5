"""Every Python example in README and docs runs as it stands there.

The blocks of one page run in order in one namespace and in an empty folder, offline, each page in
a process of its own: an example may train, log and write files without touching the others.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if examples(page)],
)
def test_examples_run(page, tmp_path):
    script = tmp_path / "page.py"
    # Blocks keep their place in the page, so an error names the line of the document.
    lines = [""] * (page.read_text().count("\n") + 1)
    for match in BLOCK.finditer(page.read_text()):
        start = page.read_text()[: match.start(1)].count("\n")
        lines[start : start + match[1].count("\n")] = match[1].splitlines()
    script.write_text("\n".join(lines))
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", str(script)],
        cwd=tmp_path,
        env={**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]


def test_pages_link_to_what_exists():
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_there_are_examples():
    assert examples(ROOT / "README.md"), "the README shows how to use the project"
