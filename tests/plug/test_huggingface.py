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


def test_the_last_record_is_of_its_step_where_a_better_model_is_loaded_at_the_end(tmp_path):
    from jensen.plug.huggingface import Watch

    class Seen(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            values[state.global_step] = float(jensen.Cost(model, next_token, ({"input_ids": tokens}, tokens))())

    tokens, values = torch.randint(0, 11, (12, 8), generator=torch.Generator().manual_seed(0)), {}
    watch = Watch(
        lambda m: jensen.Cost(m, next_token, ({"input_ids": tokens}, tokens)), every=4, share=None, ends=False
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=3, per_device_train_batch_size=4, use_cpu=True, report_to=[], save_steps=1,
        eval_strategy="steps", eval_steps=1, load_best_model_at_end=True, metric_for_best_model="eval_loss", greater_is_better=True,
        disable_tqdm=True, seed=3, logging_strategy="no", learning_rate=0.05,
    )  # fmt: skip
    data = [{"input_ids": t, "labels": t} for t in tokens]
    model = gpt(dropout=0.0)
    transformers.Trainer(
        model=model, args=arguments, train_dataset=data, eval_dataset=data, callbacks=[watch, Seen()]
    ).train()
    found = watch.watch.trajectory
    now = float(jensen.Cost(model, next_token, ({"input_ids": tokens}, tokens))())
    assert found.steps == [0, 3] and found.series("J")[-1] == pytest.approx(values[3], rel=1e-9)
    assert abs(now - values[3]) > 1e-6  # another model was loaded indeed


def test_gradient_checkpointing_keeps_handles_and_is_watched(tmp_path):
    tokens = torch.randint(0, 11, (4, 8), generator=torch.Generator().manual_seed(0))
    model = gpt(dropout=0.0)
    model.enable_input_require_grads()
    cost = jensen.Cost(model.eval(), next_token, ({"input_ids": tokens}, tokens))
    with jensen.watch(cost, every=1, share=None, show=False, ends=False) as watch:
        assert not watch.step()["error"]


def test_a_setting_that_does_not_exist_is_named_at_once():
    from jensen.plug.huggingface import Watch

    Watch(lambda m: None, every=3, width=8)
    for name in ("evry", "cost_of", "mode_"):
        with pytest.raises(Misuse, match=f"{name!r} is no setting"):
            Watch(lambda m: None, **{name: 3})


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "jensen.plug.huggingface", raising=False)
    with pytest.raises(Misuse, match=r"jensen\[huggingface\]"):
        import jensen.plug.huggingface  # noqa: F401
