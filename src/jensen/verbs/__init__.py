"""The verbs of the command ``jensen``, one family a file. What they do lives in the library."""
