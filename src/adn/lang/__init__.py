"""What adn tells readers: one TOML file per language in this folder, so adding a language means adding a file.

`en.toml` is the original; every other file has the same keys and placeholders. A text that a file lacks appears in
English. Numbers in placeholders get the decimal mark of the language.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from adn.errors import InputError

ENGLISH = "en"


@dataclass(frozen=True)
class Words:
    """All texts of one language; called with a key and its values, it returns a text.

    texts: dotted key → text with placeholders, such as `checks.noise.measured`.
    """

    code: str
    texts: dict[str, str]

    def __call__(self, key: str, /, **values: Any) -> str:
        """A text with its values filled in. Raises KeyError for a key that English does not have."""
        text = self.texts[key] if key in self.texts else words().texts[key]
        return _Filler(self.texts["decimal_mark"]).vformat(text, (), values)

    def has(self, key: str) -> bool:
        """Whether there is a text with this key."""
        return key in self.texts or key in words().texts

    def term(self, value: Any) -> Any:
        """A value translated if it is one of the texts under `terms`, else unchanged."""
        return self.texts.get(f"terms.{value}", value) if isinstance(value, str) else value

    def number(self, value: float | None, digits: int = 1, unit: str = "") -> str:
        """A number with a real minus sign and its unit, or a dash for None."""
        if value is None:
            return "–"
        text = f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
        return text.replace(".", self.texts["decimal_mark"]) + unit

    def volume(self, ml: float) -> str:
        """A volume with a suitable number of digits."""
        return self.number(ml, 2 if 0 < ml < 1 else 1, " mL")

    def capital(self, text: str) -> str:
        """The text with its first letter capitalised; a Turkish i keeps its dot."""
        first = "İ" if self.code == "tr" and text[:1] == "i" else text[:1].upper()
        return first + text[1:]


class _Filler(string.Formatter):
    """Like str.format, but numbers get the given decimal mark."""

    def __init__(self, decimal_mark: str) -> None:
        self.decimal_mark = decimal_mark

    def format_field(self, value: Any, format_spec: str) -> str:
        """One value; texts stay as they are."""
        text = format(value, format_spec)
        return text if isinstance(value, str) else text.replace(".", self.decimal_mark)


def languages() -> list[str]:
    """The codes of the available languages, English first."""
    files = (entry.name for entry in resources.files("adn.lang").iterdir())
    codes = {name.removesuffix(".toml") for name in files if name.endswith(".toml")}
    return [ENGLISH, *sorted(codes - {ENGLISH})]


@lru_cache(maxsize=8)
def words(language: str = ENGLISH) -> Words:
    """The words of a language. Raises InputError if it is not available."""
    if language not in languages():
        raise InputError(f"There is no language '{language}': choose one of {', '.join(languages())}.")
    text = (resources.files("adn.lang") / f"{language}.toml").read_text(encoding="utf-8")
    return Words(language, dict(_flat(tomllib.loads(text), "")))


def _flat(table: Mapping[str, Any], above: str) -> list[tuple[str, str]]:
    pairs = []
    for key, value in table.items():
        pairs += _flat(value, f"{above}{key}.") if isinstance(value, dict) else [(f"{above}{key}", value)]
    return pairs
