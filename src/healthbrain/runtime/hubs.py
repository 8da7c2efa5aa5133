"""The six capability hubs of the health brain (健康大脑六大枢纽), each with its state and what it holds now (HUB-00).

One deployment is all six; this says for each whether it works, counts its inventory, and names the interface by which
an application calls it. Counted from the running rooms: nothing here is kept apart.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from healthbrain import exchange, measure
from healthbrain.database import Connection
from healthbrain.exchange import Filter
from healthbrain.exchange.hl7v2.tables import tables
from healthbrain.runtime.lakes import standing
from healthbrain.runtime.platform import Platform
from healthbrain.terms import tables as terms

State = Literal["works", "attention"]
_LOW_DISK = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Words:
    """A text in both languages of the screens."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Holding:
    """One line of a hub's inventory."""

    label: Words
    value: int | str


@dataclass(frozen=True, slots=True)
class Interface:
    """How an application calls a hub, and where that is documented."""

    call: str
    document: str


@dataclass(frozen=True, slots=True)
class Hub:
    """A capability hub. `note` says why it needs attention; both texts are empty when it works."""

    id: str
    title: Words
    state: State
    note: Words
    holdings: tuple[Holding, ...]
    interfaces: tuple[Interface, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "id": self.id,
            "title": {"zh": self.title.zh, "en": self.title.en},
            "state": self.state,
            "note": {"zh": self.note.zh, "en": self.note.en},
            "holdings": [{"zh": h.label.zh, "en": h.label.en, "value": h.value} for h in self.holdings],
            "interfaces": [{"call": i.call, "document": i.document} for i in self.interfaces],
        }


_FINE = Words("", "")


async def hubs(platform: Platform, connection: Connection) -> list[Hub]:
    """All six, in the order of the plans."""
    return [
        await _cloud_network(platform, connection),
        await _exchange(platform, connection),
        _knowledge(),
        _components(),
        await _decision(connection),
        _standards(platform),
    ]


async def _cloud_network(platform: Platform, connection: Connection) -> Hub:
    row = await (
        await connection.execute("select current_setting('server_version'), pg_database_size(current_database())")
    ).fetchone()
    version, size = row or ("?", 0)
    free = shutil.disk_usage(platform.settings.data).free
    low = free < _LOW_DISK
    return _hub(
        "cloud-network", "云网管理中枢", "Cloud and network hub",
        Words("磁盘空间不足 2 GB", "less than 2 GB of disk is free") if low else _FINE,
        [
            _holding("数据库版本", "database version", str(version)),
            _holding("数据库大小（MB）", "database size (MB)", int(size) // 1024**2),
            _holding("剩余磁盘（GB）", "free disk (GB)", free // 1024**3),
        ],
        [("GET /healthz", "docs/reference/fhir-api.md")],
    )  # fmt: skip


async def _exchange(platform: Platform, connection: Connection) -> Hub:
    now = platform.clock()
    days = await exchange.summary(connection, Filter(since=now - timedelta(days=7)))
    sources = await exchange.sources(connection)
    behind = await standing(platform)
    return _hub(
        "data-exchange", "数据交换中枢", "Data exchange hub",
        Words("数据湖落后超过 10 分钟", "the lake is more than ten minutes behind") if behind.late else _FINE,
        [
            _holding("数据来源", "sources", len(sources)),
            _holding("近 7 天投递", "deliveries in 7 days", sum(day.total for day in days)),
            _holding("近 7 天拒收", "refused in 7 days", sum(day.refused for day in days)),
            _holding("待入湖变更", "changes waiting for the lake", behind.waiting),
            _holding("数据湖截至", "the lake is as of", behind.as_of.isoformat(timespec="seconds") if behind.as_of else "—"),
        ],
        [
            ("POST /fhir", "docs/reference/fhir-api.md"),
            ("HL7 v2 (MLLP)", "docs/reference/hl7v2.md"),
            ("GET /fhir/{type}", "docs/reference/fhir-api.md"),
        ],
    )  # fmt: skip


def _knowledge() -> Hub:
    return _hub(
        "medical-knowledge", "医学知识中枢", "Medical knowledge hub", _FINE,
        [
            _holding("编码表", "code tables", len(terms.names())),
            _holding("检验项目与参考区间", "analytes with reference ranges", len(terms.analytes())),
            _holding("药品", "medicines", len(terms.drugs())),
            _holding("免疫程序剂次", "doses of the immunisation schedule", len(terms.schedule())),
        ],
        [("POST /fhir/{type}/$validate", "docs/reference/fhir-api.md")],
    )  # fmt: skip


def _components() -> Hub:
    translation = tables()
    return _hub(
        "smart-components", "智能组件中枢", "Smart component hub", _FINE,
        [
            _holding("指标组件", "measures", len(measure.built_in())),
            _holding("数据视图", "views", len(measure.library().views)),
            _holding("院内编码对照表", "tables of local codes", len(translation.local)),
        ],
        [("hb import", "docs/reference/cli.md"), ("GET /measures", "docs/reference/measures.md")],
    )  # fmt: skip


async def _decision(connection: Connection) -> Hub:
    heads = await measure.headline(connection)
    newest = max((head.now.as_of for head in heads), default=None)
    return _hub(
        "decision-support", "决策支持中枢", "Decision support hub",
        _FINE if heads else Words("还没有发布指标", "no measure is published yet"),
        [
            _holding("已发布指标", "published measures", len(heads)),
            _holding("达标指标", "on target", sum(bool(head.on_target) for head in heads)),
            _holding("数据截至", "data as of", newest.isoformat(timespec="minutes") if newest else "—"),
        ],
        [("GET /cockpit", "docs/reference/measures.md"), ("GET /measures/{id}", "docs/reference/measures.md")],
    )  # fmt: skip


def _standards(platform: Platform) -> Hub:
    known = platform.definitions
    parameters = sum(len(known.search_parameters(type_)) for type_ in known.types)
    return _hub(
        "standards", "标准服务中枢", "Standards hub", _FINE,
        [
            _holding("FHIR R4 资源类型", "FHIR R4 resource types", len(known.types)),
            _holding("检索参数", "search parameters", parameters),
        ],
        [("GET /fhir/metadata", "docs/reference/fhir-api.md")],
    )  # fmt: skip


def _hub(
    id: str, zh: str, en: str, note: Words, holdings: Sequence[Holding], interfaces: Sequence[tuple[str, str]]
) -> Hub:
    state: State = "attention" if note.en else "works"
    return Hub(id, Words(zh, en), state, note, tuple(holdings), tuple(Interface(*one) for one in interfaces))


def _holding(zh: str, en: str, value: int | str) -> Holding:
    return Holding(Words(zh, en), value)
