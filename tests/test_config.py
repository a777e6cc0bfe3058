"""Recipes: every number has one home, and a wrong one is a clear error."""

import pytest
from pydantic import ValidationError

from adn.config import Recipe, side_factors
from adn.errors import ConfigError
from adn.recipes import load_recipe, recipe_from_dict, recipe_names


def test_the_recipes_in_the_package_load():
    assert {"fast", "paper", "released", "tiny"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_packaged_recipe_has_its_name_and_summary_and_survives_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert recipe_from_dict(recipe.model_dump()) == recipe


def test_the_defaults_are_the_papers_numbers():
    recipe = Recipe(name="x")
    assert recipe.grid.shape == (40, 256, 256)
    assert recipe.grid.spacing_mm == (5.0, 1.2, 1.2)
    assert recipe.grid.window_hu == (0.0, 80.0)
    assert recipe.loss.weight_d == 10.0
    assert recipe.loss.warm_start_epochs == 2
    assert recipe.align.max_in_plane_deg == 60.0
    fit = recipe.train.segment
    assert (fit.learning_rate, fit.batch_size, fit.weight_decay, fit.poly_power) == (1e-3, 6, 5e-4, 0.9)
    assert recipe.train.align.learning_rate == 1e-5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"treshold": 0.5}, "unknown key treshold; did you mean threshold?"),
        ({"grid": {"spacing": [5, 1, 1]}}, "unknown key grid.spacing; did you mean grid.spacing_mm?"),
        ({"train": {"align": {"learning_rate": 1, "batchsize": 2}}}, "did you mean train.align.batch_size?"),
        ({"zzz": 1}, "unknown key zzz; did you mean"),
    ],
)
def test_the_error_for_an_unknown_key_names_the_nearest(values, message):
    with pytest.raises(ConfigError) as caught:
        recipe_from_dict({"name": "x", **values})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"grid": {"box": [32, 176, 140]}}, r"divisible by 8, but they are \(32, 176, 140\)"),
        ({"grid": {"box": None, "shape": [36, 256, 256]}}, r"divisible by 8, but they are \(36, 256, 256\)"),
        ({"grid": {"box": [48, 176, 144]}}, "is larger than grid.shape"),
        ({"grid": {"box": [32, 176, 144], "shape": [41, 256, 256]}}, "both odd or both even"),
        ({"grid": {"shape": [40, 250, 256]}, "align": {"shrink": 4}}, "shrink 4 does not divide"),
        ({"align": {"shrink": 0}}, "align.shrink"),
        ({"train": {"align": {"learning_rate": 1e-5, "curriculum": True}}}, "curriculum orders the patients"),
        ({"network": {"channels": [12, 24]}}, "multiples of 8"),
        ({"network": {"d_backbone": "unet"}}, "network.d_backbone: Input should be 'resunet'"),
        (
            {"grid": {"box": [34, 172, 144]}, "network": {"d_backbone": "anisotropic", "f_backbone": "anisotropic"}},
            r"anisotropic of 4 levels needs sides divisible by \(2, 8, 8\) \(D, H, W\)",
        ),
        (
            {"network": {"f_backbone": "slicewise", "supervised_levels": 2}},
            "supervised_levels is for resunet and anisotropic, but network.f_backbone is slicewise",
        ),
        ({"network": {"d_backbone": "slicewise", "d_attention": 1}}, "d_attention is for resunet and anisotropic"),
        ({"network": {"d_attention": 5}}, "network.d_attention is 5, but there are 4 levels"),
        ({"loss": {"l_f": "bce"}}, 'loss.l_f = "bce_generalised_dice"'),
        ({"train": {"pool": 0}}, "train.pool"),
        ({"train": {"pool": 9}, "network": {"polarity": "bright"}}, "train.pool adds infarcts only"),
        ({"network": {"dropout": 1.0}}, "network.dropout"),
        ({"threshold": 1.5}, "threshold: Input should be less than 1"),
        ({"network": {"p_form": "whole"}}, "network.p_form: Input should be 'probability' or 'fraction'"),
        ({"grid": {"shape": [40, 256]}}, "grid.shape"),
        ({"train": {"align": {}}}, "train.align.learning_rate: Field required"),
    ],
)
def test_sizes_and_values_that_do_not_fit_are_errors(values, message):
    with pytest.raises(ConfigError, match=message):
        recipe_from_dict({"name": "x", **values})


def test_the_anisotropic_backbone_takes_any_even_number_of_slices():
    """5 mm slices of 1.2 mm pixels are pooled twice in plane first, so depth is halved once."""
    recipe = recipe_from_dict(
        {
            "name": "x",
            "grid": {"box": [34, 176, 144]},
            "network": {"d_backbone": "anisotropic", "f_backbone": "anisotropic"},
        }
    )
    assert side_factors("anisotropic", recipe.network.channels, recipe.grid.spacing_mm) == (2, 8, 8)
    assert side_factors("anisotropic", (8, 16, 32), (5.0, 2.4, 2.4)) == (2, 4, 4)
    assert side_factors("anisotropic", (8, 16), (2.0, 2.0, 2.0)) == (2, 2, 2)
    assert side_factors("resunet", (8, 16, 32), (5.0, 1.2, 1.2)) == (4, 4, 4)


def test_all_problems_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        recipe_from_dict({"treshold": 0.5, "grid": {"spacing": 1}})
    assert "name: Field required" in str(caught.value)
    assert "treshold" in str(caught.value)
    assert "grid.spacing" in str(caught.value)


def test_a_recipe_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[network]\nchannels = [8, 16]\n')
    assert load_recipe(path).network.channels == (8, 16)
    assert load_recipe(str(path)).name == "mine"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"name = [", "not valid TOML"), (b"\xff\xfe", "UTF-8"), (b"treshold = 0.5", "unknown key treshold")],
)
def test_a_file_that_is_no_recipe_is_named(tmp_path, content, message):
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["papr", "absent.toml", ""])
def test_an_unknown_recipe_is_an_error_that_lists_the_recipes(name):
    with pytest.raises(ConfigError, match="fast, fast-plus, paper, released"):
        load_recipe(name)


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError):
        Recipe(name="x").threshold = 0.4


def test_a_recipe_may_contain_only_the_differences_from_its_base(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\nbase = "fast"\n[train.segment]\nmax_epochs = 2\n')
    recipe, base = load_recipe(own), load_recipe("fast")
    assert recipe.train.segment == base.train.segment.model_copy(update={"max_epochs": 2})
    assert (recipe.name, recipe.grid, recipe.network) == ("own", base.grid, base.network)


def test_an_unknown_base_is_an_error(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\nbase = "quick"\n')
    with pytest.raises(ConfigError, match=r"'own': its base 'quick' is none of .*fast"):
        load_recipe(own)


def test_settings_of_earlier_versions_are_read_if_they_change_nothing():
    old = load_recipe("tiny").model_dump()
    old["loss"]["hardest_share"], old["train"]["compile"] = None, False
    assert recipe_from_dict(old) == load_recipe("tiny")
    old["train"]["compile"] = True
    with pytest.raises(ConfigError, match=r"train\.compile = True was a setting of adn 0\.1"):
        recipe_from_dict(old)


@pytest.mark.parametrize(("then", "now"), [(False, "none"), (True, "released"), ("nnunet", "nnunet")])
def test_renamed_values_are_read(then, now):
    old = load_recipe("tiny").model_dump()
    old["train"]["augment"] = then
    assert recipe_from_dict(old).train.augment == now


def test_removed_backbones_are_an_error_that_lists_the_available_ones():
    with pytest.raises(ConfigError, match=r"d_backbone: Input should be 'resunet', 'anisotropic' or 'slicewise'"):
        recipe_from_dict({"name": "x", "network": {"d_backbone": "segresnet"}})


def test_the_ranges_of_virtual_patients_are_part_of_the_recipe():
    changed = {"infarcts": {"old_share": 0.0}, "heads": {"bone_hu": [700, 900]}, "extras": {"metal": []}}
    values = {"name": "x", "train": {"patients": changed, "poses": {"left_over_mm": 0.0}, "looks": {"gain": [1, 1]}}}
    with pytest.raises(ConfigError, match=r"train\.patients\.extras\.metal"):
        recipe_from_dict(values)
    del changed["extras"]
    train = recipe_from_dict(values).train
    assert (train.patients.infarcts.old_share, train.patients.heads.bone_hu) == (0.0, (700.0, 900.0))
    assert (train.poses.left_over_mm, train.looks.gain) == (0.0, (1.0, 1.0))
    assert train.patients.infarcts.second_share == Recipe(name="x").train.patients.infarcts.second_share


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"scanners": {"noise_hu": [9, 2]}}, r"train\.patients\.scanners\.noise_hu: .*a minimum and a maximum"),
        ({"infarcts": {"old_share": 1.2}}, r"train\.patients\.infarcts\.old_share"),
        ({"heads": {"bone": [700, 900]}}, r"did you mean train\.patients\.heads\.bone_hu\?"),
        ({"infarcts": {"stages": {"acute": {"drop_hu": [4, 9], "whit": 1}}}}, r"stages\.acute\.white\?"),
    ],
)
def test_an_impossible_range_or_share_is_an_error(section, message):
    with pytest.raises(ConfigError, match=message):
        recipe_from_dict({"name": "x", "train": {"patients": section}})
