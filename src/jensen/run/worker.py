"""``python -m jensen.run.worker CALLS LIFE THREADS``: a process that answers packed calls until its parent is gone.

A fresh interpreter that imports nothing of the parent's script, so that scripts need no guard around their own start.
"""

from __future__ import annotations

import os
import sys
import threading
from multiprocessing.connection import Connection


def serve(calls: Connection) -> None:
    """Answer each call, in order, until the other end is closed."""
    from jensen.run.packing import perform

    try:
        while True:
            calls.send_bytes(perform(calls.recv_bytes()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _end_with(life: int) -> None:
    """A unit of hours must not outlive a parent that was killed: nothing is ever written here, it only ends."""
    os.read(life, 1)
    os._exit(0)


def main(calls: str, life: str, threads: str) -> None:
    """Set torch's threads and serve."""
    os.environ["OMP_NUM_THREADS"] = threads  # before torch is loaded
    threading.Thread(target=_end_with, args=(int(life),), daemon=True).start()
    import torch

    torch.set_num_threads(int(threads))
    serve(Connection(int(calls)))


if __name__ == "__main__":
    main(*sys.argv[1:])
