"""The `clcore` command.

Nothing heavy is imported before a command runs, so `clcore --help` answers at once. Every error
that a user can cause is one sentence on stderr; wrong use ends with exit code 2.
"""

from __future__ import annotations

import typer

from benchmarks.commands import data, listing, methods, report, run, select, speed

app = typer.Typer(
    name="clcore",
    help="Choose which data a model learns from: run benchmarks, fetch data, select coresets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("list")(listing.listing)
app.add_typer(data.app, name="data")
app.command("select")(select.select)
app.command("report")(report.report)
app.command("methods")(methods.methods)
app.command("speed")(speed.speed)


def _version(wanted: bool) -> None:
    if wanted:
        from clcore.version import __version__

        typer.echo(f"clcore {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    from benchmarks.commands.shadows import warn_of_shadows

    warn_of_shadows()


def main() -> None:
    """Entry point of the `clcore` script."""
    app()
