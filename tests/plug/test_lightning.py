import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import jensen
from jensen import Misuse

lightning = pytest.importorskip("lightning.pytorch")


def module():
    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Dropout(0.2), nn.Linear(3, 2))

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _):
            return cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.3)

    return Net()


def test_a_module_is_watched_under_the_trainer(tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    from jensen.plug.lightning import Watch

    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(24, 4, generator=generator), torch.randint(0, 2, (24,), generator=generator)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=False)
    ends = []
    for watched in (False, True):
        net = module()
        callback = Watch(
            lambda m: jensen.Cost(m.net, nn.CrossEntropyLoss(), (x, y)),
            every=2,
            share=None,
            journal=tmp_path / "run.jsonl",
        )
        logger = CSVLogger(tmp_path, name="log")
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=logger, callbacks=[callback] if watched else [], log_every_n_steps=1,
            enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False,
        )  # fmt: skip
        torch.manual_seed(5)
        trainer.fit(net, loader)
        ends.append([p.detach().clone() for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    found = jensen.Trajectory.read(tmp_path / "run.jsonl")
    assert found.steps == [0, 2, 4, 6] and found == callback.watch.trajectory
    assert not any(r["error"] for r in found.records) and {r["mode"] for r in found.records} == {"eval"}
    cost = jensen.Cost(net.net.eval(), nn.CrossEntropyLoss(), (x, y))
    assert found.series("J")[-1] == float(cost())
    logged = (tmp_path / "log" / f"version_{logger.version}" / "metrics.csv").read_text()
    assert "jensen/lowest" in logged.splitlines()[0] and len(logged.splitlines()) == 4


def test_a_checkpoint_s_step_is_the_first(tmp_path):
    from jensen.plug.lightning import Watch

    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(24, 4, generator=generator), torch.randint(0, 2, (24,), generator=generator)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=False)
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }
    first = lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet)
    first.fit(module(), loader)
    first.save_checkpoint(tmp_path / "at.ckpt")
    callback = Watch(lambda m: jensen.Cost(m.net, nn.CrossEntropyLoss(), (x, y)), every=2, share=None, ends=False)
    second = lightning.Trainer(max_epochs=2, accelerator="cpu", callbacks=[callback], **quiet)
    second.fit(module(), loader, ckpt_path=tmp_path / "at.ckpt")
    assert callback.watch.trajectory.steps == [3, 4, 6]


@pytest.mark.parametrize("first", [True, False])
def test_the_last_record_is_of_its_step_where_weights_are_averaged_at_the_end(first):
    from lightning.pytorch.callbacks import WeightAveraging

    from jensen.plug.lightning import Watch

    class Seen(lightning.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            values[trainer.global_step] = float(jensen.Cost(pl_module.net.eval(), nn.CrossEntropyLoss(), (x, y))())
            pl_module.net.train()

    values, generator = {}, torch.Generator().manual_seed(0)
    x, y = torch.randn(24, 4, generator=generator), torch.randint(0, 2, (24,), generator=generator)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=False)
    watch = Watch(lambda m: jensen.Cost(m.net, nn.CrossEntropyLoss(), (x, y)), every=100, share=None, ends=False)
    pair = [watch, WeightAveraging()] if first else [WeightAveraging(), watch]
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=[*pair, Seen()], logger=False, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    net = module()
    trainer.fit(net, loader)
    found = watch.watch.trajectory
    assert found.steps == [0, 6] and found.series("J")[-1] == pytest.approx(values[6], rel=1e-9)
    assert (
        abs(float(jensen.Cost(net.net.eval(), nn.CrossEntropyLoss(), (x, y))()) - values[6]) > 1e-6
    )  # averaged indeed


def test_a_module_as_a_whole_is_watched_without_its_trainer():
    from jensen.plug.lightning import Watch

    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(24, 4, generator=generator), torch.randint(0, 2, (24,), generator=generator)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8, shuffle=False)
    watch = Watch(lambda m: jensen.Cost(m, nn.CrossEntropyLoss(), (x, y)), every=2, share=None, ends=False)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=[watch], logger=False, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    net = module()
    trainer.fit(net, loader)
    found = watch.watch.trajectory
    assert found.steps == [0, 2, 4, 6] and not any(r["error"] for r in found.records)
    assert found.series("J")[-1] == float(jensen.Cost(net.net.eval(), nn.CrossEntropyLoss(), (x, y))())
    assert watch.watch._looker.shadow.cost._private._trainer is None


def test_a_setting_that_does_not_exist_is_named_at_once():
    from jensen.plug.lightning import Watch

    Watch(lambda m: None, every=3, width=8)
    for name in ("evry", "cost_of", "mode_"):
        with pytest.raises(Misuse, match=f"{name!r} is no setting"):
            Watch(lambda m: None, **{name: 3})


def test_without_lightning(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    monkeypatch.delitem(sys.modules, "jensen.plug.lightning", raising=False)
    with pytest.raises(Misuse, match=r"jensen\[lightning\]"):
        import jensen.plug.lightning  # noqa: F401
