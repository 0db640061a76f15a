"""Units on a Ray cluster: ``pip install 'jensen[ray]'``.

Ray runs a unit again when its worker or its whole node dies, also one that had finished and whose result was lost with
its node.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from jensen.errors import Misuse
from jensen.run.engines import RETRIES, refuse_closed
from jensen.run.packing import UnitLost, outcome, pack, perform


class Ray:
    """The units of this process on a cluster.

    Args:
        address: The cluster's; by default the one that this process is in, or that ``RAY_ADDRESS`` names, or one of this
            machine that ends with us.
        cpus: Cores for each unit.
        retries: How often a unit that was lost with its worker or node is run again.

    Raises:
        Misuse: Where ray is not installed, or the cluster cannot be reached.
    """

    name, isolated = "ray", True

    def __init__(self, address: str | None = None, cpus: float = 1, retries: int = RETRIES):
        self._ray: Any = _library()
        self._retries, self._cpus, self._closed = retries, cpus, False
        self._ours = not self._ray.is_initialized()
        self._refs: dict[Future[Any], Any] = {}
        if self._ours:
            _join(self._ray, address)
        self._remote = self._ray.remote(num_cpus=cpus, max_retries=retries)(perform)

    @classmethod
    def of(cls, word: str) -> Ray:
        """From the word after the colon: the address."""
        return cls(word)

    @property
    def slots(self) -> int:
        """As many as the cluster has cores for now."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1) / self._cpus))

    def submit(self, fn: Callable[..., Any], *args: Any) -> Future[Any]:
        """Hand a unit to the cluster."""
        refuse_closed(self._closed, self.name)
        ref = self._remote.remote(pack(fn, args))
        future: Future[Any] = Future()
        self._refs[future] = ref
        future.set_running_or_notify_cancel()
        ref.future().add_done_callback(lambda there: self._finish(future, there))
        return future

    def close(self) -> None:
        """Cancel what has not finished; leave the cluster, where we joined it."""
        if self._closed:
            return
        self._closed = True
        for future, ref in list(self._refs.items()):
            self._ray.cancel(ref, force=True)
            _settle(future, UnitLost("the engine was closed before this unit finished"))
        if self._ours:
            self._ray.shutdown()

    def _finish(self, future: Future[Any], there: Future[Any]) -> None:
        self._refs.pop(future, None)
        try:
            packed = there.result()
        except Exception as e:  # perform raises nothing, so it is the cluster's word
            text = " ".join(str(e).split())
            _settle(future, UnitLost(f"a unit was lost {self._retries + 1} times: {type(e).__name__}: {text}"))
            return
        try:
            value = outcome(packed)
        except Exception as e:
            _settle(future, e)
        else:
            if not future.done():
                future.set_result(value)


def _settle(future: Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _library() -> Any:
    try:
        import ray
    except ImportError as e:
        raise Misuse("the engine 'ray' needs ray, which is not installed; run: pip install 'jensen[ray]'") from e
    return ray


def _join(ray: Any, address: str | None) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as e:
        text = " ".join(str(e).split())
        raise Misuse(f"the Ray cluster {address or '(default)'} cannot be reached ({text}); start one with ray start --head") from e  # fmt: skip
