"""Says which packages of ours another package of the same name hides.

`buffers`, `strategies` and `benchmarks` are common names. A folder of that name in the working
directory, or a distribution that installs one, can take the place of ours without a word.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import typer

PACKAGES = ("benchmarks", "buffers", "strategies")


def home_of(package: str) -> Path | None:
    """The folder that a package is imported from, without importing it; None if there is none."""
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # imported already, by something that left no spec
        return None
    if spec is None:
        return None
    if spec.origin is not None:
        file = Path(spec.origin).resolve()
        return file.parent.parent if file.name == "__init__.py" else file.parent
    places = list(spec.submodule_search_locations or [])
    return Path(places[0]).resolve().parent if places else None


def shadows() -> list[str]:
    """One sentence for each package that does not come from where `clcore` comes from."""
    home = home_of("clcore")
    found = []
    for package in PACKAGES:
        other = home_of(package)
        if other is None:
            found.append(f"the package {package!r} of clcore is missing from {home}")
        elif other != home:
            found.append(
                f"{package!r} is imported from {other}, which hides the one of clcore in {home}; "
                "rename or remove it, or run from another folder"
            )
    return found


def warn_of_shadows() -> None:
    """Print what is hidden to stderr, and stop with exit code 2 if anything is."""
    found = shadows()
    for sentence in found:
        typer.echo(f"clcore: {sentence}", err=True)
    if found:
        raise typer.Exit(2)
