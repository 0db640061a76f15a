"""The command ``jensen``. Verbs only: what they do lives in the library."""

from __future__ import annotations

from typing import Annotated

import typer

from jensen import __version__
from jensen.verbs import census, convexity, landscape, page, paths, symmetry

app = typer.Typer(
    help="Is the cost of a neural network convex? Proofs and counterexamples that anyone can check again.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Is the cost of a neural network convex? Proofs and counterexamples that anyone can check again."""
    if version:
        typer.echo(f"jensen {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for verb in (
    convexity.check,
    convexity.blocks,
    landscape.why,
    landscape.remedies,
    landscape.spectrum,
    landscape.classify,
    symmetry.symmetry,
    paths.align,
    paths.connect,
    census.minima,
    page.report,
    convexity.verify,
):
    app.command()(verb)


if __name__ == "__main__":
    app()
