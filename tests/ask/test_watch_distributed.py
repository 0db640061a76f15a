import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

import jensen


def process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))
    generator = torch.Generator().manual_seed(rank)
    x, y = torch.randn(8, 3, generator=generator), torch.randn(8, 1, generator=generator)
    cost = jensen.Cost(net, nn.MSELoss(), (x, y))
    model = nn.parallel.DistributedDataParallel(net)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    with jensen.watch(cost, every=2, share=None, journal=f"{folder}/run.jsonl", show=False) as w:
        for _ in range(5):
            optimiser.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            optimiser.step()
            w.step()
    assert w.trajectory.steps == ([0, 2, 4, 5] if rank == 0 else [])
    assert rank or abs(w.trajectory.series("J")[-1] - float(cost())) < 1e-12
    dist.destroy_process_group()


@pytest.mark.slow
def test_the_first_process_measures_alone(tmp_path):
    """No exchange between processes: were there one, the other process would not take part, and this would hang."""
    mp.spawn(process, args=(str(tmp_path),), nprocs=2)
    found = jensen.Trajectory.read(tmp_path / "run.jsonl")
    assert found.steps == [0, 2, 4, 5] and not any(r["error"] for r in found.records)
