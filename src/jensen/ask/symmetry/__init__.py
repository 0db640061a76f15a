"""The symmetry group of a cost, read off its program."""

from jensen.ask.symmetry.answer import Symmetries
from jensen.ask.symmetry.find import symmetries

__all__ = ["Symmetries", "symmetries"]
