"""The trusted kernel: one door, :func:`jensen.kernel.check.check`; it imports no torch and nothing that reads files."""
