"""``python -m jensen`` is the command."""

from jensen.cli import app

app()
