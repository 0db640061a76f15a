"""The trusted kernel: the only code that can accept a certificate.

It imports neither torch nor anything that reads files, and it has one door, :func:`jensen.kernel.check.check`.
"""
