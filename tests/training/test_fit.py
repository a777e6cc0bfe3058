"""The loop: schedule, log, best weights, resuming, and its messages when something goes wrong."""

import logging
import math
import sys
import time

import pytest
import torch

from adn.errors import AdnError, InputError
from adn.training import fit as fit_module
from adn.training.checkpoint import State, load_weights
from adn.training.fit import Hooks, Machine, Stage, _learning_rate, fit
from adn.training.logbook import is_flat, read_log, write_log
from given import loose
from training.toy import CONFIG, Points, network, objective


def run(out, model, **settings):
    hooks = Hooks(*(settings.pop(name, None) for name in ("progress", "on_epoch", "on_log")))
    chosen, config = settings.pop("objective", objective), settings.pop("config", CONFIG)
    machine = Machine("cpu", settings.pop("workers", 0))
    return fit(model, Points(), chosen, Stage("toy", out, config, precision="fp32", **settings), machine, hooks)


class Killed(BaseException):
    """Stands for a kill."""


def test_the_learning_rate_warms_up_and_then_decays_polynomially_to_0():
    config = CONFIG.model_copy(update={"learning_rate": 2.0, "poly_power": 0.9, "warmup_steps": 4})
    assert _learning_rate(config, 0, 0.0) == pytest.approx(2.0 / 4)
    assert _learning_rate(config, 50, 0.5) == pytest.approx(2.0 * 0.5**0.9)
    assert _learning_rate(config, 99, 0.99) == pytest.approx(2.0 * 0.01**0.9)


def test_a_stage_ends_when_its_time_is_up_and_completes_its_last_epoch(tmp_path, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(fit_module.time, "monotonic", lambda: float(next(clock)))
    rates = []
    board = fit_module.Board.add
    monkeypatch.setattr(
        fit_module.Board, "add", lambda *told: (rates.append(told[2]["lr"]) if "lr" in told[2] else None, board(*told))
    )
    config = CONFIG.model_copy(update={"seconds": 10.0, "max_epochs": 1000, "warmup_steps": 0})
    run(tmp_path, network(), config=config, on_epoch=lambda epoch: {"dice": 0.1})
    assert 1 < len(rates) < 10
    assert rates == sorted(rates, reverse=True)
    rows = read_log(tmp_path / "log.csv")
    assert int(rows[-1]["step"]) == len(rates)
    assert (tmp_path / "toy-best.ckpt").is_file()


def test_the_log_records_how_long_a_step_waited_for_samples(tmp_path, monkeypatch):
    made = fit_module.loader

    def late(*arguments):
        for batch in made(*arguments):
            time.sleep(0.02)
            yield batch

    monkeypatch.setattr(fit_module, "loader", late)
    run(tmp_path, network())
    for row in read_log(tmp_path / "log.csv"):
        assert 0.02 <= float(row["wait_seconds"]) <= float(row["step_seconds"])


@pytest.mark.parametrize(("precision", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_every_method_that_a_loss_calls_runs_in_the_precision_of_the_stage(tmp_path, precision, kind):
    kinds = []

    class Named(torch.nn.Sequential):
        def from_aligned(self, x):
            kinds.append(self[0](x).dtype)
            return self(x)

    def through_a_method(model, batch, epoch):
        return {"loss": (model.from_aligned(batch[:, :4])[:, 0].float() - batch[:, 4]).square().mean()}

    machine, stage = Machine("cpu"), Stage("toy", tmp_path, CONFIG, precision=precision)
    fit(Named(*network()), Points(), through_a_method, stage, machine, Hooks())
    assert set(kinds) == {kind}


def test_each_epoch_logs_the_mean_of_every_scalar(tmp_path):
    losses = []
    run(tmp_path, network(), progress=lambda *told: losses.append(told[3]["loss"]))
    rows = read_log(tmp_path / "log.csv")
    assert [(row["stage"], row["epoch"], row["step"]) for row in rows] == [
        ("toy", str(n), str(2 * n)) for n in (1, 2, 3)
    ]
    assert [float(row["loss"]) for row in rows] == pytest.approx(
        [(losses[i] + losses[i + 1]) / 2 for i in (0, 2, 4)], rel=1e-5
    )


@pytest.mark.parametrize("average_steps", [0, 3])
@pytest.mark.parametrize("moment", ["step", "validation", "before log", "after log"])
def test_a_run_killed_at_any_moment_resumes_to_the_same_numbers(tmp_path, monkeypatch, moment, average_steps):
    """Dropout is on: what is random depends on the step, not on how the run came there."""
    config = CONFIG.model_copy(update={"average_steps": average_steps})
    whole, broken = network(0.5), network(0.5)
    run(tmp_path / "whole", whole, config=config, on_epoch=lambda epoch: {"dice": 0.1})

    def die(*_):
        raise Killed

    monkeypatch.setattr(fit_module, "CHECKPOINT_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        if moment == "before log":
            patch.setattr(fit_module, "write_log", lambda path, stage, history: die() if history else None)
        with pytest.raises(Killed):
            run(
                tmp_path / "broken", broken, config=config,
                progress=lambda stage, step, *_: die() if moment == "step" and step == 3 else None,
                on_epoch=lambda epoch: die() if moment == "validation" and epoch == 2 else {"dice": 0.1},
                on_log=die if moment == "after log" else None,
            )  # fmt: skip
    again = network(0.5)
    run(tmp_path / "broken", again, config=config, on_epoch=lambda epoch: {"dice": 0.1})
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    logs = [read_log(tmp_path / name / "log.csv") for name in ("whole", "broken")]
    for row in (row for rows in logs for row in rows):
        del row["step_seconds"], row["wait_seconds"]
    assert logs[0] == logs[1]


def test_averaged_weights_are_validated_and_saved_if_the_recipe_says_so(tmp_path):
    steps, validated = [], []
    config = CONFIG.model_copy(update={"average_steps": 100})
    model = network()
    run(
        tmp_path, model, config=config,
        progress=lambda *_: steps.append([p.detach().clone() for p in model.parameters()]),
        on_epoch=lambda epoch: validated.append([p.detach().clone() for p in model.parameters()]),
    )  # fmt: skip
    # progress sees the weights of the step, from which training goes on; epochs are of two steps
    for seen, count in ((validated[0], 2), (validated[2], 6), (list(model.parameters()), 6)):
        for place, value in enumerate(seen):
            assert torch.allclose(value, torch.stack([step[place] for step in steps[:count]]).mean(0), atol=1e-6)


def test_the_best_weights_on_validation_are_saved_beside_the_last(tmp_path):
    seen, model = [], loose(network())

    def validate(epoch):
        seen.append(model[0].weight.detach().clone())
        return {"dice": [0.2, 0.5, 0.1][epoch - 1]}

    run(tmp_path, model, on_epoch=validate)
    best = loose(network())
    assert load_weights(tmp_path / "toy-best.ckpt", best)
    assert torch.equal(best[0].weight, seen[1])
    assert torch.equal(model[0].weight, seen[2])
    assert [row["val_dice"] for row in read_log(tmp_path / "log.csv")] == ["0.2", "0.5", "0.1"]


def test_weights_with_the_lowest_score_are_saved_where_lower_is_better(tmp_path):
    seen, model = [], loose(network())

    def validate(epoch):
        seen.append(model[0].weight.detach().clone())
        return {"loss": [0.3, 0.1, 0.2][epoch - 1]}

    run(tmp_path, model, on_epoch=validate, score="loss", lowest=True)
    best = loose(network())
    assert load_weights(tmp_path / "toy-best.ckpt", best)
    assert torch.equal(best[0].weight, seen[1])


def test_terms_missing_from_a_batch_do_not_count():
    state = State()
    for value in (1.0, math.nan, 3.0):
        state.add({"q_inside": value, "never": math.nan})
    assert state.means()["q_inside"] == 2.0
    assert math.isnan(state.means()["never"])


def test_stages_share_a_log_without_disturbing_each_other(tmp_path):
    path = tmp_path / "log.csv"
    write_log(path, "align", [{"epoch": 1, "loss": 0.5}])
    write_log(path, "segment", [{"epoch": 1, "loss": 0.25, "dice": 0.1}])
    write_log(path, "segment", [{"epoch": 1, "loss": 0.25, "dice": 0.1}])  # after a kill: written again, not added
    assert read_log(path) == [
        {"stage": "align", "epoch": "1", "loss": "0.5"},
        {"stage": "segment", "epoch": "1", "loss": "0.25", "dice": "0.1"},
    ]


def test_training_dice_is_flat_when_three_epochs_lie_within_the_band():
    history = [{"loss": 1.0, "dice": value} for value in (0.2, 0.50, 0.51, 0.505)]
    assert is_flat(history, 0.02)
    assert not is_flat(history, 0.005)
    assert not is_flat(history, None)
    assert not is_flat([*history, {"loss": 1.0, "dice": 0.6}], 0.02)
    assert is_flat([{"loss": 0.1}] * 3, 0.02)  # T has no Dice


@pytest.mark.parametrize(
    "values", [(0.004, 0.006, 0.011), (0.0, 0.0, 0.0), (0.2, 0.011, 0.01, 0.012), (0.09, 0.1, 0.105)]
)
def test_a_network_that_has_not_started_to_learn_is_not_flat(values):
    assert not is_flat([{"loss": 1.0, "dice": value} for value in values], 0.02)


def test_a_flat_dice_stops_training_if_the_recipe_says_so(tmp_path):
    config = CONFIG.model_copy(update={"max_epochs": 9, "plateau_band": 2.0})
    run(tmp_path, network(), config=config)
    assert len(read_log(tmp_path / "log.csv")) == 3


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_says_which_setting_to_lower(tmp_path, error):
    def hungry(model, batch, epoch):
        raise error

    with pytest.raises(
        InputError, match=r"raise accumulation to 2 .* lower batch_size, grid\.box or network\.channels"
    ):
        run(tmp_path, network(), objective=hungry)


def test_other_errors_are_passed_on_unchanged(tmp_path):
    def wrong(model, batch, epoch):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(tmp_path, network(), objective=wrong)


def test_a_non_finite_loss_ends_training_with_a_clear_message(tmp_path):
    def broken(model, batch, epoch):
        return {"loss": objective(model, batch, epoch)["loss"] * (math.nan if epoch else 1.0)}

    with pytest.raises(AdnError, match="Lower learning_rate"):
        run(tmp_path, network(), objective=broken)
    kept = network()
    assert load_weights(tmp_path / "toy.ckpt", kept)
    assert all(p.isfinite().all() for p in kept.parameters())


@pytest.mark.parametrize("clip_norm", [0.0, 5.0])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_non_finite_gradient_ends_training_with_a_clear_message(value, clip_norm, tmp_path):
    def broken(model, batch, epoch):
        if epoch:
            next(model.parameters()).register_hook(lambda gradient: gradient * value)
        return objective(model, batch, epoch)

    with pytest.raises(AdnError, match=r"A gradient is no longer finite.*learning_rate"):
        run(tmp_path, network(), objective=broken, config=CONFIG.model_copy(update={"clip_norm": clip_norm}))
    kept = network()
    assert load_weights(tmp_path / "toy.ckpt", kept)
    assert all(p.isfinite().all() for p in kept.parameters())


def test_training_runs_without_tensorboard_and_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.WARNING, "adn"):
        run(tmp_path, network())
    assert "pip install 'adn-stroke[train]'" in caplog.text
    assert (tmp_path / "log.csv").is_file()


def test_tensorboard_gets_every_step(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(tmp_path, network(), on_epoch=lambda epoch: {"dice": 0.5})
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard" / "toy")).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events.Scalars("val_dice")] == [2, 4, 6]


def test_denormal_numbers_are_available_after_training(tmp_path):
    run(tmp_path, network())
    assert float.fromhex("0x1p-1074") * 1.0 > 0
