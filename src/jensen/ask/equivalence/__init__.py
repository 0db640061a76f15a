"""Are two points one and the same network in disguise? Moves that carry one to the other, found and replayed."""
