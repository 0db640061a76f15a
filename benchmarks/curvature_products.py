"""Hessian-vector products beside the peers: what one product costs, in gradients of the same cost.

Each contender runs in processes of its own, on one thread, in three rounds. Products and the gradient (plain eager torch) are
timed in turns, and a product is divided by the gradients right before and after it: processors that others share change
their pace within seconds. Times are processor times; what is said is the median of the rounds' medians.
Peers: PyHessian (its kept double-backward graph), curvlinops, hessian-eigenthings, and the same double backward in plain
torch. Run by ``make bench-curvature``; results go to ``benchmarks/results/curvature_products.json``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import torch
from torch import Tensor, nn

REPEATS = int(os.environ.get("REPEATS", "30"))
COLUMNS = 8
ROUNDS = 3
Apply = Callable[[Tensor], Tensor]


def mlp(dtype: torch.dtype) -> tuple[nn.Module, Tensor, Tensor]:
    """64-256-256-10, tanh, on the 1,797 digits of scikit-learn."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    model = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 10))
    return model.to(dtype), torch.tensor(digits.data / 16, dtype=dtype), torch.tensor(digits.target)


def convnet(dtype: torch.dtype) -> tuple[nn.Module, Tensor, Tensor]:
    """3 -> 8 -> 16 channels (stride 2) and a linear layer, on 512 images of 16 x 16."""
    conv = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()]
    model = nn.Sequential(*conv, nn.Flatten(), nn.Linear(1024, 10))
    return model.to(dtype), torch.randn(512, 3, 16, 16, dtype=dtype), torch.randint(0, 10, (512,))


def groupnet(dtype: torch.dtype) -> tuple[nn.Module, Tensor, Tensor]:
    """The same with group norm and pooling, where curvlinops cannot go."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.GroupNorm(4, 16), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 10),
    )  # fmt: skip
    return model.to(dtype), torch.randn(512, 3, 16, 16, dtype=dtype), torch.randint(0, 10, (512,))


MODELS = {"mlp": mlp, "convnet": convnet, "groupnet": groupnet}


def jensen_one(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Apply, int]:
    import jensen

    return jensen.hessian(jensen.Cost(model, nn.CrossEntropyLoss(), (x, y), dtype=x.dtype)).__matmul__, 1


def jensen_many(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Apply, int]:
    """Blocks of columns; how many at once is measured by jensen."""
    return jensen_one(model, x, y)[0], COLUMNS


def pyhessian(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Apply, int]:
    from pyhessian import hessian
    from pyhessian.utils import hessian_vector_product

    h = hessian(model, nn.CrossEntropyLoss(), data=(x, y), cuda=False)
    return lambda v: _flat(hessian_vector_product(h.gradsH, h.params, _split(v, h.params))), 1


def plain_torch(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Apply, int]:
    """Double backward with a kept graph: PyHessian's product without PyHessian."""
    params = list(model.parameters())
    grads = torch.autograd.grad(nn.functional.cross_entropy(model(x), y), params, create_graph=True)
    return lambda v: _flat(torch.autograd.grad(grads, params, _split(v, params), retain_graph=True)), 1


def curvlinops_one(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Apply, int]:
    from curvlinops import HessianLinearOperator

    params = dict(model.named_parameters())
    try:
        h = HessianLinearOperator(model, nn.CrossEntropyLoss(), params, [(x, y)])
    except (TypeError, AttributeError, ValueError):
        h = HessianLinearOperator(model, nn.CrossEntropyLoss(), list(params.values()), [(x, y)])
    return h.__matmul__, 1


def curvlinops_many(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Apply, int]:
    return curvlinops_one(model, x, y)[0], COLUMNS


def eigenthings(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Apply, int]:
    from hessian_eigenthings.operators.hessian import HessianOperator

    def loss(m: nn.Module, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(m(batch[0]), batch[1])

    return HessianOperator(model, [(x, y)], loss).matvec, 1


CONTENDERS = {
    "jensen": jensen_one, "jensen, 8 columns": jensen_many, "PyHessian": pyhessian, "plain torch": plain_torch,
    "curvlinops": curvlinops_one, "curvlinops, 8 columns": curvlinops_many, "hessian-eigenthings": eigenthings,
}  # fmt: skip


def _split(v: Tensor, params: Any) -> list[Tensor]:
    params = list(params)
    return [p.view_as(q) for p, q in zip(v.split([q.numel() for q in params]), params, strict=True)]


def _flat(tensors: Any) -> Tensor:
    return torch.cat([t.reshape(-1) for t in tensors])


def seconds(f: Callable[[], Any]) -> float:
    start = time.process_time()
    f()
    return time.process_time() - start


def measure(model_name: str, contender: str, dtype: torch.dtype) -> dict[str, Any]:
    """One contender on one model: its product in gradients, and its error against double backward in float64."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x, y = MODELS[model_name](dtype)
    params = list(model.parameters())

    def gradient() -> Any:
        return torch.autograd.grad(nn.functional.cross_entropy(model(x), y), params)

    apply, columns = CONTENDERS[contender](model, x, y)
    n = sum(p.numel() for p in params)
    v = torch.randn(n, columns, dtype=dtype) if columns > 1 else torch.randn(n, dtype=dtype)
    out = torch.as_tensor(apply(v)).detach()
    error = _error(model, x, y, v if columns == 1 else v[:, 0], out if columns == 1 else out[:, 0])
    for _ in range(5):
        gradient(), apply(v)
    gradients, products = [seconds(gradient)], []
    for _ in range(max(REPEATS // columns, 5)):
        products.append(seconds(lambda: apply(v)) / columns)
        gradients.append(seconds(gradient))
    ratios = [2 * p / (g + h) for p, g, h in zip(products, gradients, gradients[1:], strict=False)]
    return {
        "model": model_name, "contender": contender, "dtype": str(dtype), "parameters": n, "columns": columns,
        "gradients": median(ratios), "gradient_ms": median(gradients) * 1e3, "product_ms": median(products) * 1e3,
        "relative_error": error,
    }  # fmt: skip


def _error(model: nn.Module, x: Tensor, y: Tensor, v: Tensor, got: Tensor) -> float:
    import copy

    twin = copy.deepcopy(model).double()
    want = plain_torch(twin, x.double(), y)[0](v.double())
    return float((got.double() - want).norm() / want.norm())


def once(model: str, contender: str) -> dict[str, Any]:
    """One contender on one model in a process of its own."""
    done = subprocess.run([sys.executable, __file__, model, contender], capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        text = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"model": model, "contender": contender, "failed": text[:200]}


def main() -> None:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(ROUNDS):
        for pair in ((m, c) for m in MODELS for c in CONTENDERS):
            if "failed" not in found.get(pair, [{}])[-1]:
                found.setdefault(pair, []).append(once(*pair))
    rows = []
    for (model, contender), runs in found.items():
        row = min(runs, key=lambda r: "gradients" in r)
        if "failed" not in row:
            row = sorted(runs, key=lambda r: r["gradients"])[len(runs) // 2] | {"runs": [r["gradients"] for r in runs]}
        rows.append(row)
        cost = f"{row['gradients']:5.2f} gradients" if "gradients" in row else "fails: " + row["failed"][:90]
        print(f"{model:9} {contender:22} {cost}", flush=True)
    for model in MODELS:
        own = min(r["gradients"] for r in rows if r["model"] == model and r["contender"].startswith("jensen"))
        peers = [
            r for r in rows if r["model"] == model and "gradients" in r and not r["contender"].startswith("jensen")
        ]
        best = min(peers, key=lambda r: r["gradients"])
        print(
            f"{model:9} {own:.2f} against {best['gradients']:.2f} ({best['contender']}): {own / best['gradients']:.2f}"
        )
    from _results import save

    print(save("curvature_products", rows, "curvlinops-for-pytorch", "hessian-eigenthings", "PyHessian"))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], sys.argv[2], torch.float32)))
    else:
        main()
