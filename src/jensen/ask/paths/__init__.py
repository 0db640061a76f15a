"""Ways between points: the cost along a segment, alignment of two networks, curves of low cost."""
