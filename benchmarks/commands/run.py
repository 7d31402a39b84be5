"""`clcore run`: run a suite, or go on with one."""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.commands.sentences import FAILED, INTERRUPTED, one_sentence

if TYPE_CHECKING:
    from benchmarks.running.execute import WandB
    from benchmarks.running.folder import RunFolder


def run(
    suite: Annotated[
        str | None,
        typer.Argument(help="Name of a suite (see `clcore list suites`).", show_default=False),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Names with commas; `+nem` after one: nearest-mean classification."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="For example 0,1,2 or 0-4.")] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory sizes of a continual suite, for example 200,500.")
    ] = None,
    fractions: Annotated[
        str | None, typer.Option(help="Fractions of an offline suite, for example 0.01,0.1 or 10%.")
    ] = None,
    optimizers: Annotated[
        str | None, typer.Option(help="Optimisers of an offline suite, for example sgd,saga.")
    ] = None,
    batch_sizes: Annotated[
        str | None, typer.Option(help="Batch sizes of a generative suite, for example 64,128.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run.  [default: runs/SUITE, or SUITE-2, ...]"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out; finished cells stay.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run in --out.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; results do not depend on it.")
    ] = 1,
    wandb: Annotated[
        str,
        typer.Option(
            help="auto (online where logged in, else offline), online, offline, disabled."
        ),
    ] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value, repeatable: epochs=3, model.hidden=100,100, ..."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Run a benchmark suite: by default split-digits, with every method, in under two minutes.

    Results, table and report go to the folder of the run. A run that was interrupted or killed
    continues with --resume and gives the same results as an unbroken one.
    """
    from benchmarks.running.lock import alone_in

    with one_sentence():
        choice = {
            name: values
            for name, values in (
                ("methods", _names(methods)),
                ("seeds", _numbers("--seeds", seeds)),
                ("memory_sizes", _numbers("--memory", memory)),
                ("fractions", _fractions(fractions)),
                ("optimizers", _names(optimizers)),
                ("batch_sizes", _numbers("--batch-sizes", batch_sizes)),
            )
            if values is not None
        }
        sink = _wandb(wandb)
        with ExitStack() as held:
            if out is not None:
                held.enter_context(alone_in(out))
            folder = _folder(suite, choice, settings or [], out, resume=resume, overwrite=overwrite)
            if out is None:
                held.enter_context(alone_in(folder.path))
            _execute(folder, workers, sink, quiet=quiet)


def _folder(
    name: str | None,
    choice: dict[str, Any],
    assignments: list[str],
    out: Path | None,
    *,
    resume: bool,
    overwrite: bool,
) -> RunFolder:
    from dataclasses import replace

    from benchmarks import suites
    from benchmarks.running import folder
    from benchmarks.running.kind import kind_of
    from benchmarks.settings import override
    from clcore.errors import ArgumentError

    if resume and overwrite:
        raise ArgumentError("--resume and --overwrite: give one of them, not both")
    if (resume or overwrite) and out is None:
        flag = "--resume" if resume else "--overwrite"
        raise ArgumentError(f"{flag}: --out says which run is meant; it is missing")
    suite: Any = suites.find(name or "split-digits")
    kind = kind_of(suite.kind)
    for chosen in choice:
        if chosen not in kind.choice:
            article = "an" if kind.name[0] in "aeiou" else "a"
            option = {"memory_sizes": "memory"}.get(chosen, chosen).replace("_", "-")
            raise ArgumentError(
                f"--{option}: {suite.name} is {article} {kind.name} suite, which has no {option}; "
                f"it has {', '.join(kind.choice.values())}"
            )
    if assignments:
        suite = override(suite, assignments, fixed=(*kind.fixed, *kind.choice))
    if resume and out is not None and out.exists():
        # Settings need not be given again; those that are must agree.
        return folder.reopen(out, name=name, assignments=assignments, **choice)
    if choice:
        suite = replace(suite, **choice)
    return folder.create(
        out or folder.free_folder(Path("runs"), suite.name), suite, overwrite=overwrite
    )


def _wandb(requested: str) -> WandB | None:
    from benchmarks.reporting.wandb_mode import decide_mode
    from benchmarks.running.execute import WandB

    # What wandb prints about files would tear the progress bar apart; a user's own wish wins.
    os.environ.setdefault("WANDB_SILENT", "true")
    mode = decide_mode(requested)
    return None if mode == "disabled" else WandB(mode)


def _execute(folder: RunFolder, workers: int, wandb: WandB | None, *, quiet: bool) -> None:
    from benchmarks.commands.progress import Progress, console
    from benchmarks.runner import run as run_cells
    from benchmarks.running.failures import RunError
    from benchmarks.running.signals import termination_as_interrupt

    words = ["clcore", "run", folder.suite.name, "--out", str(folder.path), "--resume"]
    if workers > 1:
        words += ["--workers", str(workers)]
    go_on = f"continue with: {shlex.join(words)}"
    progress = Progress(workers, quiet=quiet)
    try:
        with termination_as_interrupt(), progress:
            results = run_cells(folder, workers=workers, wandb=wandb, listener=progress)
    except KeyboardInterrupt:
        done = len(folder.finished())
        typer.echo(
            f"\nStopped; saved in {folder.path}: {done} of {len(folder.cells)} cells are finished, "
            f"those begun go on after their last finished experience.\nTo {go_on}",
            err=True,
        )
        raise typer.Exit(INTERRUPTED) from None
    except RunError as error:
        typer.echo(f"clcore: {error}.\nTo {go_on}", err=True)
        raise typer.Exit(FAILED) from error
    if not quiet:
        console().print(folder.kind.console_table(results))
        console().print(f"report: {folder.path / 'report.html'}", soft_wrap=True, highlight=False)


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return tuple(part.strip().lower().replace("_", "-") for part in text.split(",") if part.strip())


def _fractions(text: str | None) -> tuple[float, ...] | None:
    from clcore.errors import ArgumentError

    if text is None:
        return None
    fractions = []
    for part in text.split(","):
        number = part.strip()
        try:
            percent = number.endswith("%")
            # Through text, so that 7% is 0.07 and not 0.07000000000000001.
            value = float(f"{number[:-1].strip()}e-2") if percent else float(number)
        except ValueError as error:
            raise ArgumentError(
                f"--fractions: got {text!r}; shares such as 0.1 or 10% with commas are needed"
            ) from error
        fractions.append(value)
    return tuple(fractions)


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    from clcore.errors import ArgumentError

    if text is None:
        return None
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ArgumentError(
                f"{option}: got {text!r}; whole numbers with commas, or ranges such as 0-4, are "
                "needed"
            )
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)
