"""Costs of the literature, ready-made: each a function of its sizes that returns a :class:`jensen.Cost`."""
