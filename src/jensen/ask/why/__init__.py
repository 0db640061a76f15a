"""Why is the cost not convex? The ledger of its curvature, of a chord, and the mechanisms."""
