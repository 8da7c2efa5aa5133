"""The towns of the map: code, Chinese and English name, in the order of their codes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from healthbrain.web.assets import STATIC
from healthbrain.web.language import Language


@dataclass(frozen=True, slots=True)
class Town:
    """One town or street of the district."""

    code: str
    name: str
    name_en: str

    def said(self, language: Language) -> str:
        """Its name in this language."""
        return self.name if language.chinese else self.name_en


@cache
def towns() -> dict[str, Town]:
    """The towns on the map by their code."""
    shapes = json.loads((STATIC / "map" / "qingpu.geojson").read_text("utf-8"))
    found = [feature["properties"] for feature in shapes["features"] if feature["properties"]["kind"] == "town"]
    return {
        one["code"]: Town(one["code"], one["name"], one["name_en"]) for one in sorted(found, key=lambda p: p["code"])
    }
