"""Every language has every text, with the same placeholders as English."""

import re
import string
from pathlib import Path
from typing import get_args

import pytest

import adn
from adn.errors import InputError
from adn.lang import ENGLISH, languages, words
from adn.remarks import Kind, Remark, notes, warnings
from remark_examples import example

SOURCE = Path(adn.__file__).parent
OTHERS = [code for code in languages() if code != ENGLISH]


def placeholders(text):
    return sorted((name, form) for _, name, form, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("code", OTHERS)
def test_a_language_has_the_keys_and_the_placeholders_of_english(code):
    english, other = words().texts, words(code).texts
    absent, unknown = sorted(english.keys() - other.keys()), sorted(other.keys() - english.keys())
    assert (absent, unknown) == ([], []), f"bring src/adn/lang/{code}.toml in line with en.toml"
    different = [key for key in english if placeholders(english[key]) != placeholders(other[key])]
    assert different == []


def test_every_text_used_by_code_and_pages_exists():
    """Keys that stand whole in a call; those that end in a dot are the beginning of some."""
    for path in [*SOURCE.rglob("*.py"), *SOURCE.rglob("*.j2")]:
        for key in re.findall(r"\bsay\(\s*f?\"([a-z_]+\.[a-z_.]*)(?=[\"{])", path.read_text(encoding="utf-8")):
            assert any(text == key or text.startswith(key) for text in words().texts), f"{path.name}: {key}"


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_remark_exists_in_every_language(code, kind):
    told = example(kind).told(words(code))
    assert "{" not in told
    assert told != example(kind).sentence


def test_numbers_have_the_decimal_mark_of_the_language():
    assert [words().volume(ml) for ml in (0, 0.034, 12.34)] == ["0.0 mL", "0.03 mL", "12.3 mL"]
    assert [words().number(value, 1, "°") for value in (-0.04, -7.06, None)] == ["0.0°", "−7.1°", "–"]
    assert words("de").volume(12.34) == "12,3 mL"
    tilt = Remark("tilt_corrected", {"tilt_deg": 18.25})
    assert not warnings([tilt])
    assert notes([tilt], words("tr")) == ("18,2 derecelik gantri açısı düzeltildi.",)


def test_names_and_texts_from_the_scan_are_not_changed():
    read = Remark("several_series", {"read": "#1 head 2.5 mm", "others": "none"})
    assert "#1 head 2.5 mm" in read.told(words("de"))


def test_the_turkish_i_keeps_its_dot():
    assert words("tr").capital("iki") == "İki"
    assert words().capital("inside") == "Inside"


def test_a_missing_text_falls_back_to_english(monkeypatch):
    monkeypatch.delitem(words("de").texts, "page.slice")
    assert words("de")("page.slice") == "Slice"


def test_an_unknown_language_is_refused_with_the_available_ones():
    with pytest.raises(InputError, match="choose one of en, de, tr"):
        words("xx")
