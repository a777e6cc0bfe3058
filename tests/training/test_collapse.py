"""Collapse watch: P = 0 and P = A are told apart from a P that means something."""

import logging

from adn.training.collapse import collapse_warning
from adn.training.fit import Machine, Stage, fit
from training.toy import CONFIG, Points, network, objective

FINE = {"mean_p": 0.001, "target_p": 0.001, "p_over_a": 0.05, "p_a_correlation": 0.4}


def test_a_meaningful_p_gives_no_collapse_warning():
    assert collapse_warning(FINE) is None
    assert collapse_warning({"loss": 1.0}) is None  # T has no P
    assert collapse_warning({**FINE, "mean_p": 0.0, "target_p": 0.0}) is None  # nobody had an infarct


def test_p_below_a_tenth_of_its_target_counts_as_collapsed_to_0():
    assert "collapsed to 0" in (collapse_warning({**FINE, "mean_p": 0.00009}) or "")
    assert collapse_warning({**FINE, "mean_p": 0.00011}) is None


def test_p_equal_to_a_counts_as_collapsed_to_a():
    copy = {**FINE, "mean_p": 0.02, "p_over_a": 0.97, "p_a_correlation": 0.99}
    assert "collapsed to A" in (collapse_warning(copy) or "")
    assert collapse_warning({**copy, "p_over_a": 0.5}) is None  # P = A / 2, where training begins
    assert collapse_warning({**copy, "p_a_correlation": 0.5}) is None


def test_training_warns_after_the_epoch(tmp_path, caplog):
    def collapsed(model, batch, epoch):
        scalars = objective(model, batch, epoch)
        return scalars | {k: scalars["loss"].detach() * 0 + v for k, v in {**FINE, "mean_p": 0.0}.items()}

    config = CONFIG.model_copy(update={"max_epochs": 1})
    with caplog.at_level(logging.WARNING, "adn"):
        fit(network(), Points(), collapsed, Stage("toy", tmp_path, config, precision="fp32"), Machine("cpu"))
    assert "epoch 1: P has collapsed to 0" in caplog.text
