"""Samples of several sources, on phantoms: reproducible from plain data; no source reveals if there is an infarct."""

import json
from dataclasses import replace

import pytest
import torch

from adn.errors import InputError
from adn.feed.aligned import load_aligned
from adn.feed.mix import (
    Cases,
    MixedSamples,
    contrast_hu,
    copies,
    emptied,
    outline,
    to_hu,
    validation_samples,
    without_blood,
)
from adn.feed.samples import collate
from adn.space.warp import mirror
from adn.virtual.overlay import Twin
from mixed_phantoms import BOX, GRID, MIX, RECIPE, Virtual, bleed, cases, outlined_part


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return cases(tmp_path_factory.mktemp("cases"))


@pytest.fixture(scope="module")
def mixed(files):
    return MixedSamples(files, Virtual(), 7, 400)  # type: ignore[arg-type]


def find(mixed, source, **wanted):
    return next(d for i in range(400) if (d := mixed.draw(i)).source == source
                and all(getattr(d, name) == value for name, value in wanted.items()))  # fmt: skip


def test_sample_i_depends_only_on_seed_and_i(files, mixed):
    again, other = (MixedSamples(files, Virtual(), seed, 400) for seed in (7, 8))  # type: ignore[arg-type]
    for index in (301, 5, 44):
        assert all(torch.equal(a, b) for a, b in zip(mixed[index], again[index], strict=True))
    assert [mixed.draw(i) for i in range(20)] != [other.draw(i) for i in range(20)]


def test_draws_are_plain_data_and_can_be_replayed(mixed):
    draw = find(mixed, "whole", laid=True)
    assert json.loads(json.dumps(draw.to_dict()))["source"] == "whole"
    assert all(torch.equal(a, b) for a, b in zip(mixed.show(draw), mixed.show(draw), strict=True))


def test_batches_have_the_shapes_and_values_of_other_feeds(mixed):
    batch = collate([mixed[i] for i in range(3)])
    assert batch.brain.shape == batch.infarct.shape == batch.tissue.shape == (3, 1, *BOX)
    assert batch.tissue.dtype == torch.uint8
    assert batch.brain.min() == 0
    assert batch.brain.max() <= 1
    assert set(batch.infarct.unique().tolist()) <= {-1.0, 0.0, 1.0}


def test_shares_are_those_of_the_recipe(mixed):
    drawn = [mixed.draw(i) for i in range(400)]
    for source, share in MIX.shares.items():
        assert sum(d.source == source for d in drawn) / 400 == pytest.approx(share / 100, abs=0.07)
    whole = [d for d in drawn if d.source == "whole"]
    assert sum(d.laid for d in whole) / len(whole) == pytest.approx(0.55, abs=0.15)
    assert sum(d.cut is not None for d in whole) / len(whole) == pytest.approx(0.5, abs=0.15)
    assert not any(d.laid or d.cut for d in drawn if d.source == "outlined")


def test_every_source_has_samples_with_and_without_infarct_in_parts_and_whole_heads(mixed):
    """Each of these shows both among the first 140 samples; later ones are not needed once all have."""
    shown = {kind: set() for kind in ("wholes", "parts", "emptied", "whole", "virtual")}
    for index in range(140):
        draw = mixed.draw(index)
        ill = bool((mixed.show(draw).infarct > 0).any())
        whole = draw.source in ("whole", "virtual") and draw.cut is None
        shown["wholes" if whole else "parts"].add(ill)
        if draw.source != "outlined":
            shown[draw.source].add(ill)
        if all(kinds == {True, False} for kinds in shown.values()):
            return
    raise AssertionError(shown)


def test_an_infarct_removed_from_a_part_leaves_no_difference():
    part = outlined_part(2)
    assert contrast_hu(part, GRID) == pytest.approx(6, abs=0.5)
    empty = emptied(part, outline(part, 2), Twin((0, 1), 0.0, 0), GRID)
    assert not (empty.infarct > 0).any()
    where = part.infarct[0] > 0
    hu = to_hu(empty.brain[0], GRID)
    assert float((mirror(hu) - hu)[where].mean()) == pytest.approx(0, abs=0.3)
    copied = copies(part)  # the copies' infarct is replaced, too, though they are silent
    assert copied.any()
    assert float(hu[11, 38:46, 48:56].mean()) == pytest.approx(float(mirror(hu)[11, 38:46, 48:56].mean()), abs=1.0)
    assert (empty.infarct[0][copied] == -1).all()


def test_blood_and_its_surroundings_are_ignored_whether_marked_or_detected():
    marked, unmarked = bleed(3), bleed(3)
    unmarked = unmarked._replace(infarct=torch.zeros_like(unmarked.infarct))
    for sample in (marked, unmarked):
        silent = without_blood(sample, MIX, GRID).infarct[0] < 0
        assert silent[14:18, 40:48, 20:26].all()
        assert silent[15, 38, 23]
        assert not silent[15, 60, 50]
        assert not silent[5].any()


def test_ignored_voxels_stay_ignored_where_an_infarct_is_placed(mixed):
    draw = find(mixed, "whole", laid=True, replaced=False, cut=None)
    plain = without_blood(load_aligned(mixed.cases.whole[draw.place]), MIX, GRID)
    sample = mixed.show(draw)
    assert (sample.infarct > 0).any()
    assert (sample.infarct < 0).sum() == pytest.approx(int((plain.infarct < 0).sum()), rel=0.5)


def test_heads_without_a_placed_infarct_are_cut_at_the_same_place(mixed):
    cuts = (d.cut for i in range(400) if (d := mixed.draw(i)).cut)
    draw = replace(find(mixed, "whole", laid=True, replaced=False), cut=next(cuts))
    ill, well = mixed.show(draw), mixed.show(replace(draw, laid=False))
    assert torch.equal(ill.brain > 0, well.brain > 0)
    assert not (well.infarct > 0).any()


def test_no_patient_of_one_part_appears_in_another(tmp_path):
    train, held = cases(tmp_path / "a"), cases(tmp_path / "b", first=10)
    assert set(train.shapes) & set(held.shapes) == {"mask"}  # masks are split by subject in the library
    assert all(name == "mask" or name.startswith("part0-") for name in train.shapes)
    named = validation_samples(held, 1)
    assert [name for name, _ in named].count("outlined") == 5
    assert [name for name, _ in named].count("whole") == 4
    laid = [sample for name, sample in named if name == "laid"]
    assert laid
    assert all((sample.infarct > 0).any() for sample in laid)
    again = validation_samples(held, 1)
    assert all(torch.equal(a[1].brain, b[1].brain) for a, b in zip(named, again, strict=True))


def test_a_source_with_a_share_needs_cases(files):
    with pytest.raises(InputError, match="whole"):
        MixedSamples(Cases(RECIPE, files.outlined, [], {}), Virtual(), 0, 10)  # type: ignore[arg-type]
