"""One checker for each kind of evidence."""
