"""Training on small virtual patients: it runs, it resumes to the same numbers, it refuses what cannot work."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adn.errors import InputError, OutputError
from adn.io.weights import read_weights
from adn.nn.adn import build_adn
from adn.prediction.model import load_model
from adn.recipes import load_recipe
from adn.training import Begin, Machine, Source, Watch, resume, train
from adn.training.logbook import read_log
from adn.training.validate import infer, validator
from adn.virtual.folders import synthesize
from given import COARSE
from training.toy import Brains


def small_recipe(**segment):
    """The coarse recipe with fewer samples, without bf16, so that numbers can be compared."""
    recipe = load_recipe(COARSE)
    align = recipe.train.align.model_copy(update={"epoch_samples": 2})
    stage = recipe.train.segment.model_copy(update={"batch_size": 1, "epoch_samples": 2, **segment})
    settings = {"align": align, "segment": stage, "precision": "fp32", "validation_samples": 1}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=settings)})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run, and what it told after each epoch."""
    out, told = tmp_path_factory.mktemp("runs") / "whole", []
    train(small_recipe(), out, machine=Machine("cpu"), watch=Watch(on_epoch=told.append))
    return out, told


def test_a_run_leaves_weights_that_predict_loads_and_a_log(finished):
    out, _ = finished
    assert load_model(out / "weights.safetensors", device="cpu").recipe.name == "coarse"
    rows = [row for row in read_log(out / "log.csv") if row["stage"] == "segment"]
    assert len(rows) == small_recipe().train.segment.max_epochs
    for name in ("loss", "bce", "dice_loss", "l_tissue", "l_size", "l_asymmetry", "l_intrinsic", "p_over_a"):
        assert math.isfinite(float(rows[0][name]))
    left = {path.name for path in out.iterdir()}
    assert left >= {"recipe.json", "run.json", "align.ckpt", "segment.ckpt", "tensorboard", "weights.safetensors"}


def test_t_is_taken_from_the_best_epoch_on_unseen_heads(finished):
    out, _ = finished
    (row,) = (row for row in read_log(out / "log.csv") if row["stage"] == "align")
    assert math.isfinite(float(row["val_loss"]))
    assert float(row["val_plane_mm"]) > 0
    best = torch.load(out / "align-best.ckpt", weights_only=True)["model"]
    weights, _ = read_weights(out / "weights.safetensors")
    assert all(torch.equal(weights[f"align.{name}"], tensor.half().float()) for name, tensor in best.items())


def test_voxels_ignored_by_the_loss_are_not_scored():
    """Infarct that shows nowhere but on other images (−1) counts neither for nor against."""
    recipe = small_recipe()
    model = build_adn(recipe).eval()
    sample = Brains(recipe.grid.box)[0]
    silent = sample._replace(infarct=torch.where(sample.infarct > 0, sample.infarct, -1.0))
    marked_alone = validator(model, [silent], True, recipe)(1)["dice"]
    carried = infer(model, sample, True, recipe)
    inside, mask = sample.infarct > 0, carried.output.infarct_probability_aligned[0] > 0.5
    expected = 2 * (mask & inside).sum() / ((mask & inside).sum() + inside.sum())
    assert marked_alone == pytest.approx(float(expected))


def test_each_epoch_reports_its_rows_and_sample_pictures(finished):
    out, told = finished
    assert [(end.run, end.stage, len(end.history)) for end in told] == [
        (out, "align", 1), (out, "segment", 1), (out, "segment", 2),
    ]  # fmt: skip
    assert not told[0].pictures
    (picture,) = told[-1].pictures
    a, p, q = (getattr(picture, f"asymmetry_{part}").data for part in ("total", "pathological", "intrinsic"))
    assert picture.aligned.grid.shape == small_recipe().grid.box
    assert a.max() > 1.0  # HU
    assert abs(a - p - q).max() < 1e-4
    assert 0 <= picture.infarct_probability.data.min() <= picture.infarct_probability.data.max() <= 1


def test_a_killed_run_resumes_from_its_record_to_the_same_weights(finished, tmp_path):
    """SIGKILL in a process of its own, in the middle of an epoch of D + F, with the same T; `resume` knows the rest."""
    here = Path(__file__)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, here, tmp_path / "run", finished[0]]
    ended = subprocess.run(command, env=environment, timeout=500, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "run" / "weights.safetensors").exists()
    resume(tmp_path / "run")
    whole, _ = read_weights(finished[0] / "weights.safetensors")
    again, _ = read_weights(tmp_path / "run" / "weights.safetensors")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_used_run_folder_and_another_recipe_are_refused(finished, tmp_path):
    with pytest.raises(OutputError, match="not empty"):
        train(small_recipe(), finished[0], machine=Machine("cpu"))
    with pytest.raises(InputError, match="another recipe"):
        train(small_recipe(max_epochs=5), finished[0], begin=Begin(resume=True), machine=Machine("cpu"))
    with pytest.raises(InputError, match="not a run folder"):
        resume(tmp_path)


def test_cases_on_disk_can_be_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    synthesize(2, tmp_path / "cases", seed=4, matrix=96)
    path = train(small_recipe(max_epochs=1), tmp_path / "run", Source(tmp_path / "cases"), machine=Machine("cpu"))
    assert path.is_file()


def test_slicewise_networks_learn_from_a_few_slices_and_predict_whole_heads(tmp_path):
    recipe = small_recipe(batch_size=2)
    network = {"d_backbone": "slicewise", "f_backbone": "slicewise", "neighbours": 1, "mirror_average": True}
    network |= {"d_inputs": ("relative", "brain"), "f_inputs": ("salient_relative", "pathological", "contrast")}
    loss = recipe.loss.model_copy(update={"l_f": "bce_batch_dice", "dice_smooth": 20.0})
    values = {"network": recipe.network.model_copy(update=network), "loss": loss}
    values |= {"train": recipe.train.model_copy(update={"slices": 3})}
    weights = train(
        recipe.model_copy(update=values), tmp_path / "run", begin=Begin(stages=["segment"]), machine=Machine("cpu")
    )
    (row, *_) = read_log(tmp_path / "run" / "log.csv")
    assert math.isfinite(float(row["loss"]))
    model = load_model(weights, device="cpu")
    whole = Brains(recipe.grid.box)[0].brain[None]
    with torch.no_grad():
        output = model.network.from_aligned(whole, torch.eye(4)[None])
    assert output.infarct_probability_aligned.shape == whole.shape


def test_a_folder_without_cases_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="ct"):
        train(small_recipe(), tmp_path / "run", Source(tmp_path), machine=Machine("cpu"))
    assert not (tmp_path / "run").exists()  # so that the same command works with the right folder


def die_in_the_third_step(stage, step, steps, scalars):
    """Progress of a run that is to be killed."""
    if stage == "segment" and step == 3:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from adn.training import fit

    fit.CHECKPOINT_SECONDS = 0.0
    begin = Begin(align=Path(sys.argv[2]), stages=("segment",))
    train(small_recipe(), sys.argv[1], begin=begin, machine=Machine("cpu"), watch=Watch(die_in_the_third_step))


def test_fine_tuning_starts_from_the_weights_and_leaves_t_unchanged(finished, tmp_path):
    """A rate of 0 changes nothing: what comes out is what went in, and the run goes on without the weights' file."""
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes((finished[0] / "weights.safetensors").read_bytes())
    still = small_recipe(learning_rate=0.0, max_epochs=1)
    path = train(still, tmp_path / "run", begin=Begin(weights), machine=Machine("cpu"))
    given, _ = read_weights(weights)
    found, _ = read_weights(path)
    assert all(torch.equal(given[name], found[name]) for name in given)
    assert not [row for row in read_log(tmp_path / "run" / "log.csv") if row["stage"] == "align"]
    weights.unlink()
    (tmp_path / "run" / "segment.ckpt").unlink()  # as if killed before its first checkpoint
    found, _ = read_weights(resume(tmp_path / "run"))
    assert all(torch.equal(given[name], found[name]) for name in given)


def test_weights_of_another_architecture_are_refused_as_a_start(finished, tmp_path):
    recipe = small_recipe()
    wider = recipe.model_copy(update={"network": recipe.network.model_copy(update={"channels": (16, 32, 64)})})
    with pytest.raises(InputError, match="tensors of the networks after T fit this recipe"):
        train(wider, tmp_path / "run", begin=Begin(finished[0]), machine=Machine("cpu"))
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="tissue network cannot begin"):
        train("tissue", tmp_path / "run", begin=Begin(finished[0]), machine=Machine("cpu"))
