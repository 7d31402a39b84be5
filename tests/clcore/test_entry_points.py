"""Another package adds a selector by entry point: a tiny one is really pip-installed."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAST = """
    from dataclasses import dataclass

    import torch
    from clcore import Coreset, Selector


    @dataclass(frozen=True)
    class Last(Selector):
        \"\"\"The rows whose first feature comes last.\"\"\"

        reverse: bool = False
        greedy = True

        def _select(self, pool, k, *, given, allowance, generator):
            scores = pool.signal("features").reshape(len(pool), -1)[:, 0]
            order = scores.argsort(descending=not self.reverse, stable=True)
            return Coreset.of(allowance.first(order, k))
"""


def install(folder: Path, target: Path, distribution: str, module: str, points: str) -> None:
    """Write a distribution of one module and install it with pip, offline."""
    source = folder / distribution
    source.mkdir()
    (source / f"{module}.py").write_text(textwrap.dedent(LAST))
    (source / "pyproject.toml").write_text(
        textwrap.dedent(f"""
            [build-system]
            requires = ["setuptools"]
            build-backend = "setuptools.build_meta"
            [project]
            name = "{distribution}"
            version = "1.0"
            [project.entry-points."clcore.selectors"]
            {points}
            [tool.setuptools]
            py-modules = ["{module}"]
        """)
    )
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
               "--no-build-isolation", "--disable-pip-version-check",
               "--target", str(target), str(source)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with two installed plug-in distributions."""
    folder = tmp_path_factory.mktemp("plugins")
    target = folder / "site"
    install(
        folder, target, "last-rows", "last_rows",
        'last-rows = "last_rows:Last"\nclash = "last_rows:Last"\nherding = "last_rows:Last"',
    )  # fmt: skip
    install(
        folder, target, "other-rows", "other_rows",
        'clash = "other_rows:Last"\nabsent = "other_rows:Nobody"\nno_selector = "other_rows:torch"',
    )  # fmt: skip
    return target


def run(site: Path, code: str) -> str:
    """Run code in a fresh Python that sees the plug-ins."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, check=False, env=environment, cwd=site,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_plugin_is_listed_lazily_found_and_keeps_the_contracts(site):
    output = run(
        site,
        """
        import sys
        import torch
        from clcore import Pool, select
        from clcore.selectors import registry
        from clcore.testing import check_selector

        assert "last-rows" in registry.names()
        assert registry.origin("last_rows") == "last_rows:Last (last-rows)"
        assert "last_rows" not in sys.modules
        pool = Pool(features=torch.arange(5.0), labels=[0, 0, 1, 1, 1])
        print(select("last_rows", pool, 3, quotas={1: 2}).indices.tolist())
        print(select("last-rows", pool, 2, reverse=True).indices.tolist())
        assert registry.get("last-rows").name == "last-rows"
        check_selector("last-rows")
        """,
    )
    assert output.splitlines() == ["[4, 3, 1]", "[0, 1]"]


def test_collisions_and_broken_entries_are_named(site):
    output = run(
        site,
        """
        from clcore.registry import RegistryError
        from clcore.selectors import registry

        assert "k-center" in registry.names()
        assert registry.get("k-center")
        for name in ("clash", "herding", "absent", "no-selector"):
            try:
                registry.get(name)
            except RegistryError as error:
                print(error)
        """,
    )
    clash, herding, absent, wrong = output.splitlines()
    assert "'clash' is claimed by" in clash
    assert "last-rows" in clash
    assert "other-rows" in clash
    assert "'herding' is claimed by clcore and by last-rows: uninstall one" in herding
    assert "'absent' of other-rows cannot be loaded from other_rows:Nobody" in absent
    assert "which is no Selector" in wrong
