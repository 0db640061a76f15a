import math
import sys

import pytest
import torch
from torch.nn.functional import cross_entropy

import jensen
from jensen import Misuse

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")


def gpt(dropout):
    config = transformers.GPT2Config(
        vocab_size=11, n_positions=8, n_embd=8, n_layer=1, n_head=2,
        resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, attn_implementation="sdpa",
    )  # fmt: skip
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(config)


def next_token(out, y):
    return cross_entropy(out.logits[:, :-1].flatten(0, 1), y[:, 1:].flatten())


def test_a_gpt_is_watched_under_the_trainer(tmp_path):
    from jensen.plug.huggingface import Watch

    tokens = torch.randint(0, 11, (12, 8), generator=torch.Generator().manual_seed(0))
    ends = []
    for watched in (False, True):
        model = gpt(dropout=0.1)
        cost = lambda m: jensen.Cost(m, next_token, ({"input_ids": tokens}, tokens))  # noqa: E731
        callback = Watch(cost, every=2, share=None, journal=tmp_path / "run.jsonl", run="hf")
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), max_steps=4, per_device_train_batch_size=4, use_cpu=True, report_to=[],
            save_strategy="no", disable_tqdm=True, seed=3, logging_strategy="no",
        )  # fmt: skip
        trainer = transformers.Trainer(
            model=model, args=arguments, train_dataset=[{"input_ids": t, "labels": t} for t in tokens],
            callbacks=[callback] if watched else [],
        )  # fmt: skip
        trainer.train()
        ends.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    found = jensen.Trajectory.read(tmp_path / "run.jsonl", "hf")
    assert found.steps == [0, 2, 4] and not any(r["error"] for r in found.records)
    last = jensen.Cost(model.eval(), next_token, ({"input_ids": tokens}, tokens))
    assert found.series("J")[-1] == pytest.approx(float(last()), rel=1e-9)
    assert all(math.isfinite(v) for v in found.series("lowest"))


def trained(folder, callback, steps, **more):
    tokens = torch.randint(0, 11, (12, 8), generator=torch.Generator().manual_seed(0))
    model = gpt(dropout=0.1)
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=4, use_cpu=True, report_to=[],
        save_steps=2, disable_tqdm=True, seed=3, logging_strategy="no",
    )  # fmt: skip
    data = [{"input_ids": t, "labels": t} for t in tokens]
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=callback)
    trainer.train(**more)
    return [p.detach().clone() for p in model.parameters()]


def test_a_cost_on_a_loader_draws_nothing_and_a_checkpoint_s_step_is_the_first(tmp_path):
    from jensen.plug.huggingface import Watch

    tokens = torch.randint(0, 11, (12, 8), generator=torch.Generator().manual_seed(0))
    batches = [({"input_ids": t}, t) for t in tokens.split(6)]

    def cost(model):
        loader = torch.utils.data.DataLoader(batches, batch_size=None)
        torch.rand(3)
        return jensen.Cost(model, next_token, loader)

    callback = Watch(cost, every=2, share=None, ends=False, journal=tmp_path / "run.jsonl")
    ends = [trained(tmp_path / name, c, 3) for name, c in (("a", []), ("b", [callback]))]
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    callback = Watch(cost, every=3, share=None, ends=False, journal=tmp_path / "run.jsonl")
    trained(tmp_path / "b", [callback], 4, resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-2"))
    assert jensen.Trajectory.read(tmp_path / "run.jsonl").steps == [2, 3, 4]


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "jensen.plug.huggingface", raising=False)
    with pytest.raises(Misuse, match=r"jensen\[huggingface\]"):
        import jensen.plug.huggingface  # noqa: F401
