import math
import random
import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

import jensen
from jensen import Misuse
from jensen.ask.curvature import watch as module
from jensen.ask.curvature.watch import WatchWarning
from jensen.run.journal import Journal
from jensen.show.live import words


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    pick = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))[:200]
    x = nn.functional.avg_pool2d(torch.tensor(data.images, dtype=torch.float32)[pick, None], 2).flatten(1) / 16
    return x, torch.tensor(data.target)[pick]


def small(seed=0, *layers):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(16, 6), nn.Tanh(), *layers, nn.Linear(6, 10))


def train(model, data, steps, w=None, lr=0.5):
    x, y = data
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        pick = torch.randint(len(x), (32,))
        optimiser.zero_grad()
        cross_entropy(model(x[pick]), y[pick]).backward()
        optimiser.step()
        if w is not None:
            w.step()


def test_records_agree_with_the_dense_hessian(digits):
    model = small()
    cost = jensen.Cost(
        model, nn.CrossEntropyLoss(), digits, penalty=lambda p: 0.01 * sum((t**4).sum() for t in p.values())
    )
    seen = []

    def compare(record):
        flat = torch.cat([t.reshape(-1) for t in cost.theta.values()]).requires_grad_()
        shapes, names = [t.shape for t in cost.theta.values()], list(cost.theta)

        def penalised(v, part):
            theta = {
                n: t.reshape(s) for n, s, t in zip(names, shapes, v.split([s.numel() for s in shapes]), strict=True)
            }
            hidden = torch.tanh(digits[0].double() @ theta["0.weight"].T + theta["0.bias"])
            loss = cross_entropy(hidden @ theta["2.weight"].T + theta["2.bias"], digits[1])
            extra = 0.01 * sum((t**4).sum() for t in theta.values())
            return {"all": loss + extra, "penalty": extra}[part]

        h = torch.autograd.functional.hessian(lambda v: penalised(v, "all"), flat)
        g = torch.autograd.functional.jacobian(lambda v: penalised(v, "all"), flat)
        values, vectors = torch.linalg.eigh(h)
        assert record["J"] == pytest.approx(float(penalised(flat.detach(), "all")), rel=1e-12)
        assert record["gradient_norm"] == pytest.approx(float(g.norm()), rel=1e-10)
        for entry, exact in zip(
            (*record["lowest"], *record["highest"]), (*values[:2], *values.flip(0)[:2]), strict=True
        ):
            assert abs(entry["value"] - float(exact)) <= entry["bound"] + 1e-12
            assert entry["bound"] <= max(0.02 * abs(entry["value"]), 1e-6 * float(values.abs().max())) * 1.0001
        assert 0 < record["index"] <= int((values < 0).sum())
        assert record["converged"] and not record["error"]
        d = vectors[:, 0]
        extra = torch.autograd.functional.hessian(lambda v: penalised(v, "penalty"), flat)
        parts = [record[k] for k in ("loss_part", "network_part", "penalty_part")]
        assert sum(parts) == pytest.approx(record["lowest"][0]["value"], rel=1e-9)
        assert parts[0] >= 0  # cross entropy is convex in the network's output
        assert parts[2] == pytest.approx(float(d @ extra @ d), abs=0.05 * float(extra.abs().max()))
        seen.append(record["step"])

    with jensen.watch(cost, every=20, share=None, count=2, show=compare) as w:
        train(model, digits, 50, w)
    assert seen == w.trajectory.steps == [0, 20, 40, 50]


def everything(model):
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    grads = {n: p.grad for n, p in model.named_parameters()}
    return (
        {n: (t.data_ptr(), t._version, t.clone()) for n, t in own.items()},
        {n: (None if g is None else (g.data_ptr(), g._version, g.clone())) for n, g in grads.items()},
        [m.training for m in model.modules()],
        [t.requires_grad for t in model.parameters()],
        torch.get_rng_state(), random.getstate(), np.random.get_state()[1],
        torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device(), torch.is_autocast_enabled("cpu"),
    )  # fmt: skip


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("layers", [(), (nn.BatchNorm1d(6),), (nn.Dropout(0.5),)], ids=["plain", "norm", "dropout"])
def test_nothing_of_the_model_or_the_process_changes(digits, layers):
    model = small(0, *layers).eval()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    model.train()
    train(model, digits, 3)
    before = everything(model)
    w = jensen.watch(cost, every=1, share=None, show=False)
    assert same(before, everything(model))
    for context in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16)):
        with context:
            before = everything(model)
            record = w.measure()
            assert same(before, everything(model))
        assert record["error"] == "" and record["lowest"]
    assert record["mode"] == ("eval" if layers and isinstance(layers[0], nn.Dropout) else "train")


def test_training_is_the_same_with_and_without(digits):
    ends = []
    for watched in (False, True):
        model = small(0, nn.Dropout(0.2)).eval()
        cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
        model.train()
        torch.manual_seed(7)
        train(model, digits, 12, jensen.watch(cost, every=4, share=None, show=False) if watched else None)
        ends.append([p.detach().clone() for p in model.parameters()])
    assert same(*ends)


def test_dropout_is_off_and_batch_norm_keeps_its_mode(digits):
    model = small(0, nn.Dropout(0.5)).eval()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    quiet = float(cost())
    model.train()
    assert jensen.watch(cost, ends=False, show=False).measure()["J"] == quiet
    with pytest.raises(Misuse, match="random"):
        jensen.watch(cost, mode="train", ends=False, show=False)
    model = small(0, nn.BatchNorm1d(6))
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    assert jensen.watch(cost, ends=False, show=False).measure()["J"] == float(cost())
    record = jensen.watch(cost, mode="eval", ends=False, show=False).measure()
    assert record["J"] == float(jensen.Cost(model.eval(), nn.CrossEntropyLoss(), digits)()) and record["mode"] == "eval"


def test_a_running_batch_norm_is_read_live(digits):
    model = small(0, nn.BatchNorm1d(6)).eval()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    w = jensen.watch(cost, mode="eval", ends=False, show=False)
    first = w.measure()["J"]
    model.train()(digits[0])  # moves the running mean and variance alone
    assert w.measure()["J"] == float(jensen.Cost(model.eval(), nn.CrossEntropyLoss(), digits)()) != first


def test_streamed_data_draws_random_numbers_and_yet_j_is_a_function(digits, monkeypatch):
    monkeypatch.setattr("jensen.chunks.IN_MEMORY", 1000)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*digits), batch_size=77)
    model = small(0, nn.BatchNorm1d(6)).eval()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), loader)
    model.train()
    assert cost.streamed
    before = everything(model)
    record = jensen.watch(cost, ends=False, show=False).measure()
    assert same(before, everything(model)) and record["mode"] == "eval"
    assert record["J"] == pytest.approx(float(jensen.Cost(model.eval(), nn.CrossEntropyLoss(), digits)()), rel=1e-12)


class Clock:
    """Time that passes only where the test says so."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def strftime(self, *_):
        return "then"


def test_the_share_of_training_time_is_kept(digits, monkeypatch):
    model, clock = small(), Clock()
    monkeypatch.setattr(module, "time", clock)
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    real = module.Looker.look

    def takes_three_seconds(self, *args):
        clock.now += 3.0
        return real(self, *args)

    monkeypatch.setattr(module.Looker, "look", takes_three_seconds)
    shares = []
    with jensen.watch(cost, every=8, share=0.125, ends=False, show=False) as w:
        for n in range(995):
            clock.now += 0.25
            w.step()
            shares.append(3.0 * (len(w.trajectory.records) - 1) / (0.25 * (n + 1)))
    records = w.trajectory.records
    # 24 s of training allow 3; the first has half as much again to spare; the ends are not in the loop
    assert w.trajectory.steps == [0, *range(144, 995, 96), 995]
    assert max(shares) <= 0.125
    assert [r["skipped"] for r in records] == [0, 17, *(11 for _ in range(8)), 10]
    assert (records[5]["share"], records[5]["training_seconds"], records[5]["seconds"]) == (15 / 132, 132.0, 3.0)
    assert "left out" in " ".join(w.trajectory.notes)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_batch_norm_s_moving_statistics_need_no_other_capture(digits, monkeypatch, mode):
    from jensen import trace

    model = small(0, nn.BatchNorm1d(6))
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    w = jensen.watch(cost, every=1, share=None, show=False, mode=mode)
    monkeypatch.setattr(trace, "capture", lambda *_: pytest.fail("captured anew"))
    train(model, digits, 3, w)
    monkeypatch.undo()
    record = w.trajectory.records[-1]
    model.train(mode == "train")
    fresh = jensen.hessian(jensen.Cost(model, nn.CrossEntropyLoss(), digits))
    exact = torch.linalg.eigvalsh(fresh.dense())
    assert record["error"] == "" and record["J"] == pytest.approx(fresh.value, rel=1e-12)
    assert record["gradient_norm"] == pytest.approx(float(fresh.gradient.norm()), rel=1e-10)
    assert float((exact - record["lowest"][0]["value"]).abs().min()) <= record["lowest"][0]["bound"] + 1e-12


def test_what_moving_buffers_cost_is_expected_and_the_share_kept(digits, monkeypatch):
    from jensen import trace

    model, clock, real = small(0, nn.BatchNorm1d(6)), Clock(), trace._trace
    monkeypatch.setattr(module, "time", clock)

    def takes_two_seconds(*args):
        clock.now += 2.0
        return real(*args)

    monkeypatch.setattr(trace, "_trace", takes_two_seconds)
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    measured = []
    w = jensen.watch(cost, every=1, share=0.25, show=lambda _: measured.append(2.0))
    for n in range(60):
        train(model, digits, 1)
        clock.now += 0.5
        w.step()
        assert sum(measured[1:]) <= 0.25 * 0.5 * (n + 1)
    assert w.trajectory.steps == [0, 24, 40, 56]


def test_keeping_and_showing_a_record_counts_for_the_share(digits, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)

    def takes_a_second(_):
        clock.now += 1.0

    cost = jensen.Cost(small(), nn.CrossEntropyLoss(), digits)
    w = jensen.watch(cost, every=1, share=0.5, ends=False, show=takes_a_second)
    for _ in range(8):
        clock.now += 0.5
        w.step()
    assert w.trajectory.steps == [0, 6] and w._spent == 1.0 and w._training() == 4.0


def test_a_measurement_that_runs_late_stops_with_its_bounds_as_they_are(digits, monkeypatch):
    model, clock = small(), Clock()
    monkeypatch.setattr(module, "time", clock)
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    w = jensen.watch(cost, every=1, share=0.5, show=False)
    real = jensen.ask.curvature.operator.Hessian.__matmul__

    def takes_a_second(self, v):
        clock.now += 1.0
        return real(self, v)

    monkeypatch.setattr(jensen.ask.curvature.operator.Hessian, "__matmul__", takes_a_second)
    train(model, digits, 30)
    clock.now += 20.0  # allows ten seconds
    record = w.step()
    assert record["products"] == 9 and record["seconds"] == 10.0 and record["share"] == 0.5
    assert not record["converged"] and record["lowest"][0]["bound"] > 0.02 * abs(record["lowest"][0]["value"])
    flat = torch.linalg.eigvalsh(jensen.hessian(cost).dense())
    assert float((flat - record["lowest"][0]["value"]).abs().min()) <= record["lowest"][0]["bound"]
    clock.now += 38.0  # with the product above one second short of what a measurement of twice that length needs
    train(model, digits, 30)
    assert w.step() is None
    clock.now += 1.0
    assert w.step()["products"] > 9


def test_a_cost_that_is_not_a_number_is_recorded_and_training_goes_on(digits, tmp_path):
    model = small()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    w = jensen.watch(cost, every=1, share=None, show=False, journal=tmp_path / "run.jsonl")
    kept = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight[0, 0] = math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        w.step()
    with torch.no_grad():
        model[0].weight.copy_(kept)
    w.step()
    for trajectory in (w.trajectory, jensen.Trajectory.read(tmp_path / "run.jsonl")):
        assert [math.isnan(v) for v in trajectory.series("J")] == [False, True, False]
        assert [bool(r["lowest"]) for r in trajectory.records] == [True, False, True]
        assert trajectory.records[1]["error"] == "J is not finite"
        assert trajectory.to_dict()["records"][1]["J"] == "nan"


def test_failures_do_not_end_the_training(digits, tmp_path, monkeypatch):
    model = small()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    w = jensen.watch(cost, every=1, share=None, ends=False, show=False, journal=tmp_path / "j")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(Journal, "append", full)
        with pytest.warns(WatchWarning, match="No space"):
            w.step()
    with monkeypatch.context() as m:
        m.setattr(module.Looker, "look", lambda *_: 1 / 0)
        with pytest.warns(WatchWarning, match="ZeroDivisionError"):
            w.step()
    assert w.step()["error"] == ""
    assert w.trajectory.steps == [0, 1, 2, 3] and jensen.Trajectory.read(tmp_path / "j").steps == [0, 2, 3]


def overwritten(path):
    path.write_text("hello world, not a journal\n")


def in_a_newer_format(path):
    path.write_text('{"format":99,"journal":"jensen"}\n')


def a_folder(path):
    path.unlink()
    path.mkdir()


def with_its_folder_gone(path):
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("happens", [overwritten, in_a_newer_format, a_folder, with_its_folder_gone])
def test_nothing_that_happens_to_the_journal_ends_the_training(digits, tmp_path, happens):
    (tmp_path / "own").mkdir()
    cost = jensen.Cost(small(), nn.CrossEntropyLoss(), digits)
    w = jensen.watch(cost, every=1, share=None, ends=False, show=False, journal=tmp_path / "own" / "run.jsonl")
    happens(tmp_path / "own" / "run.jsonl")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            assert w.step()["error"] == ""
    assert [t.category for t in told] == [WatchWarning] and "step 1 is not in the journal" in str(told[0].message)
    assert w.trajectory.steps == [0, 1, 2, 3]


def test_what_shows_a_record_may_fail(digits):
    seen = []

    def show(record):
        seen.append(record["step"])
        if len(seen) == 2:
            raise BrokenPipeError("nobody reads")

    w = jensen.watch(jensen.Cost(small(), nn.CrossEntropyLoss(), digits), every=1, share=None, ends=False, show=show)
    with pytest.warns(WatchWarning, match="step 1 was not shown: BrokenPipeError: nobody reads"):
        w.step()
    w.step()
    w.close()
    assert seen == [0, 1] and w.trajectory.steps == [0, 1, 2]


def test_the_journal_gives_the_trajectory_back(digits, tmp_path):
    path = tmp_path / "run.jsonl"
    model = small()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    with jensen.watch(cost, every=2, share=None, journal=path, run="a", directions=True, show=False) as w:
        train(model, digits, 5, w)
    assert jensen.Trajectory.read(path) == w.trajectory
    with jensen.watch(cost, every=2, share=None, journal=path, run="b", ends=False, show=False) as b:
        train(model, digits, 4, b)
    assert jensen.Trajectory.read(path).run == "b" and jensen.Trajectory.read(path, "a").steps == [0, 2, 4, 5]
    with jensen.watch(
        cost, every=2, share=None, journal=path, run="a", ends=False, show=False
    ) as again:  # from a checkpoint
        again.step(4)
    assert jensen.Trajectory.read(path, "a").steps == [0, 2, 4]
    with pytest.raises(Misuse, match="its runs are a, b"):
        jensen.Trajectory.read(path, "c")
    entry = Journal(path).entries()[2]
    direction = entry.load()["direction"]
    assert direction.shape == (172,) and float(direction.norm()) == pytest.approx(1.0)


def test_a_function_of_tensors_is_watched_at_given_values():
    cost = jensen.Cost.of(lambda x, y: x**2 - 3 * y**2 + x * y, x=0.0, y=0.0)
    w = jensen.watch(cost, every=1, share=None, show=False)
    record = w.step(theta={"x": torch.tensor(1.0), "y": torch.tensor(2.0)})
    assert record["J"] == 1 - 12 + 2 and record["index"] == 1 and "exact" in record["index_words"]
    exact = np.linalg.eigvalsh([[2.0, 1.0], [1.0, -6.0]])
    assert [record["lowest"][0]["value"], record["highest"][0]["value"]] == pytest.approx(list(exact), rel=1e-10)
    assert record["loss_part"] is None


def test_a_trajectory_draws_itself(digits):
    w = jensen.watch(jensen.Cost(small(), nn.CrossEntropyLoss(), digits), every=1, share=None, ends=False, show=False)
    w.step()
    assert "from step 0 to step 1" in w.trajectory._repr_mimebundle_()["text/plain"]


def test_nothing_is_drawn_unless_stderr_is_a_terminal(digits, capsys, monkeypatch):
    model = small()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    shown = []
    for show in (None, False, shown.append):
        with jensen.watch(cost, every=1, ends=False, show=show) as w:
            w.step()
    assert capsys.readouterr() == ("", "") and [r["step"] for r in shown] == [0, 1]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with jensen.watch(cost, every=1, ends=False) as w:
        w.step()
    out, err = capsys.readouterr()
    assert out == "" and "step 0  J 2." in err and "step 1  J 2." in err and err.endswith("\n")


def test_the_words_of_a_record():
    end = {"lowest": [{"value": -0.25, "bound": 1e-3}], "highest": [{"value": 4.0, "bound": 2e-5}], "index": 7}
    parts = {"loss_part": 0.5, "network_part": -0.75, "error": "", "share": 0.08}
    line = words({"step": 3, "J": 0.1, "gradient_norm": math.nan, **end, **parts})
    assert (
        line == "step 3  J 0.1  |g| nan  λ -0.25±1e-03 … 4±2e-05  index ≥ 7  loss +0.5 network -0.75  watched for 8.0 %"
    )


def test_steps_that_jump_or_repeat(digits):
    w = jensen.watch(jensen.Cost(small(), nn.CrossEntropyLoss(), digits), every=10, share=None, ends=False, show=False)
    taken = [s for s in (0, 0, 3, 9, 10, 10, 11, 19, 25, 31, 40) if w.step(s) is not None]
    assert taken == [10, 25, 31, 40]


def test_a_watch_starts_where_training_stands(digits, tmp_path):
    model = small()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    plain = {"share": None, "ends": False, "show": False, "journal": tmp_path / "j"}
    with jensen.watch(cost, every=10, start=25, **plain) as w:
        assert [s for s in range(26, 44) if w.step(s) is not None] == [30, 40]
    assert w.trajectory.steps == jensen.Trajectory.read(tmp_path / "j").steps == [25, 30, 40, 43]
    with jensen.watch(cost, every=10, start=7, **plain) as w:
        pass
    assert w.trajectory.steps == [7]


@pytest.mark.parametrize("start", [None, 42])
def test_a_run_that_goes_on_is_measured_at_the_multiples_alone(digits, tmp_path, start):
    model = small()
    cost = jensen.Cost(model, nn.CrossEntropyLoss(), digits)
    plain = {"every": 10, "share": None, "ends": False, "show": False, "journal": tmp_path / "j", "run": "r"}
    with jensen.watch(cost, **plain) as w:
        for s in range(1, 56):
            w.step(s)
    with jensen.watch(cost, start=start, **plain) as w:
        taken = [s for s in range(43, 71) if (s < 50 or s > 60) and w.step(s) is not None]
    assert taken == [61, 70] and w.trajectory.steps == [61, 70]
    assert jensen.Trajectory.read(tmp_path / "j").steps == [0, 10, 20, 30, 40, 61, 70]  # 50 and 55 came after step 42
    with jensen.watch(cost, **plain) as w:
        w.step()
    assert w.trajectory.steps == [71]


def test_other_parameters_than_before_are_told(digits):
    model = small()
    w = jensen.watch(jensen.Cost(model, nn.CrossEntropyLoss(), digits), every=1, share=None, show=False)
    nn.utils.parametrizations.weight_norm(model[2])
    with pytest.warns(WatchWarning, match=r"changed since the watch was made \(gone 2\.weight; new 2\.param.*anew"):
        w.step()


def test_a_line_may_be_asked_for(digits, capsys):
    cost = jensen.Cost(small(), nn.CrossEntropyLoss(), digits)
    with jensen.watch(cost, every=1, ends=False, show=True):
        pass
    assert "step 0  J 2." in capsys.readouterr().err


WRONG = (
    ({"every": 0}, "every=0"), ({"every": 2.5}, "every=2.5"), ({"share": 0}, "share=0"), ({"mode": "live"}, "mode='live'"),
    ({"share": "x"}, "share='x'"), ({"share": math.nan}, "share=nan"), ({"every": True}, "every=True"),
    ({"seed": "a"}, "seed='a'"), ({"seed": 2**64}, "64 bits"), ({"run": 5}, "run=5"), ({"run": ""}, "run=''"),
    ({"show": 3}, "show=3"), ({"foo": 1}, "'foo' is no setting"), ({"at": {}}, "'at' is no setting"),
    ({"start": -1}, "start=-1"), ({"ends": 1}, "ends=1"), ({"journal": 5}, "journal=5"), ({"tolerance": "x"}, "tolerance='x'"),
    ({"tolerance": 0}, "tolerance=0"), ({"directions": True}, "journal"), ({"journal": "/nowhere/x"}, "does not exist"),
)  # fmt: skip


@pytest.mark.parametrize(("settings", "text"), WRONG)
def test_misuse(settings, text):
    with pytest.raises(Misuse, match=text):
        jensen.watch(jensen.Cost.of(lambda x: x * x, x=1.0), **settings)


def test_only_costs_are_watched():
    with pytest.raises(Misuse, match=r"Linear, not a jensen\.Cost"):
        jensen.watch(nn.Linear(1, 1))


@pytest.mark.parametrize("step", [-1, 2.0, True])
def test_steps_that_are_none(step):
    w = jensen.watch(jensen.Cost.of(lambda x: x * x, x=1.0), ends=False, show=False)
    with pytest.raises(Misuse, match=f"step={step!r} must be a whole number, 0 or more"):
        w.step(step)
    assert w.trajectory.steps == [0]
