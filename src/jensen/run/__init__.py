"""Work that outlives its process: the journal."""
