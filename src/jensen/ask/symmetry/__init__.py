"""The symmetry group of a cost, read off its program."""
