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


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "jensen.plug.huggingface", raising=False)
    with pytest.raises(Misuse, match=r"jensen\[huggingface\]"):
        import jensen.plug.huggingface  # noqa: F401
