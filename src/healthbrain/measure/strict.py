"""YAML read strictly: every scalar is text until its field says what it is (so `no` stays "no" and codes keep their
zeros), and unknown or doubled keys are errors."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import yaml

from healthbrain.errors import Incorrect
from healthbrain.measure.definition import Words

_FOLDED = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])")


class _Strict(yaml.BaseLoader):
    """Text scalars only, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        if len(keys) != len(set(map(str, keys))):
            raise Incorrect(f"line {node.start_mark.line + 1}: a key stands twice")
        return super().construct_mapping(node, deep)


def read(text: str, where: str) -> Any:
    """The YAML of `text`; `where` names it in errors. Raises Incorrect."""
    try:
        return yaml.load(text, Loader=_Strict)  # noqa: S506  # a BaseLoader: it builds nothing but text, lists, dicts
    except yaml.YAMLError as error:
        raise Incorrect(f"{where}: not readable as YAML ({error})") from None


def words(raw: Mapping[str, str]) -> Words:
    """Texts by language. YAML joins folded lines with a space, which Chinese does not have."""
    if unknown := set(raw) - {"zh", "en"}:  # mostly a comma that YAML took for the end of an unquoted text
        raise Incorrect(f"a text is given in zh and en, not in {', '.join(sorted(unknown))}")
    return {language: _FOLDED.sub("", text) for language, text in raw.items()}


def known(raw: Mapping[str, Any], names: Collection[str], where: str) -> None:
    """Raises Incorrect when `raw` has a key that is none of `names`."""
    if unknown := set(raw) - set(names):
        raise Incorrect(f"{where}: unknown key {', '.join(sorted(unknown))}; known are {', '.join(sorted(names))}")


def one_of(value: str, allowed: tuple[str, ...], where: str) -> Any:
    """`value`, which must be one of `allowed`."""
    if value not in allowed:
        raise Incorrect(f"{where}: '{value}' is none of {', '.join(allowed)}")
    return value
