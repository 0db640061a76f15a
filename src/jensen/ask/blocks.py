"""In which sets of blocks is the cost convex? (written below)"""
