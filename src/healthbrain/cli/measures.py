"""Verbs of measures: list, show, adjust (a parameter that this place sets otherwise than the national rule), recompute."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import click

from healthbrain import measure
from healthbrain.cli.engines import cluster_of, engine_option
from healthbrain.cli.opened import with_platform
from healthbrain.cli.output import json_option, show
from healthbrain.errors import Incorrect
from healthbrain.lake import Lake
from healthbrain.measure.definition import Constant, Definition
from healthbrain.runtime import Platform
from healthbrain.runtime.jobs import delivery_days


@click.group("measure")
def measure_group() -> None:
    """Indicators: what is counted, with which parameters, and counting again."""


@measure_group.command("list")
@click.argument("words", nargs=-1)
@json_option
def list_measures(words: tuple[str, ...], as_json: bool) -> None:
    """The measures in force here with their latest figure; WORDS leave those that hold each of them."""
    rows = asyncio.run(with_platform(_list))
    rows = [row for row in rows if all(word.lower() in json.dumps(row, ensure_ascii=False).lower() for word in words)]
    lines = [
        f"{row['id']:<16}{row['version']:<10}{row['kind']:<12}{_said(row['value']):>12} {row['unit']:<8}{row['period']:<12}{row['title']} ({row['title_en']})"
        for row in rows
    ]
    show({"measures": rows}, as_json=as_json, text="\n".join(lines) or "no measure has these words")


async def _list(platform: Platform) -> list[dict[str, Any]]:
    async with platform.pool.connection() as connection:
        heads = {head.definition.id: head.now for head in await measure.headline(connection)}
        return [
            {
                "id": one.id, "version": one.version, "kind": one.kind, "unit": one.unit, "title": one.title["zh"],
                "title_en": one.title.get("en", ""), "period": heads[one.id].period if one.id in heads else "",
                "value": heads[one.id].value if one.id in heads else None, "parameters": len(one.parameters),
            }
            for one in await measure.in_force(connection)
        ]  # fmt: skip


@measure_group.command("show")
@click.argument("id_", metavar="MEASURE")
@json_option
def show_measure(id_: str, as_json: bool) -> None:
    """One measure: formula, source, parameters with the national value and the one in force, and its versions."""
    found = asyncio.run(with_platform(lambda platform: _show(platform, id_)))
    lines = [
        f"{found['id']} {found['version']}  {found['title']} ({found['title_en']})",
        f"  formula   {found['formula']}",
        f"  source    {found['source']}",
        *(
            f"  parameter {one['name']} = {_said(one['value'])} {one['unit']}"
            + (f" (national {_said(one['national'])})" if one["value"] != one["national"] else "")
            + f"  {one['title']}"
            for one in found["parameters"]
        ),
        *(f"  version   {one['version']}  {one['first']} to {one['last']}" for one in found["series"]),
    ]
    show(found, as_json=as_json, text="\n".join(lines))


async def _show(platform: Platform, id_: str) -> dict[str, Any]:
    async with platform.pool.connection() as connection:
        one = await measure.current(connection, id_)
        series = await measure.series(connection, id_)
    national = {parameter.name: parameter.value for parameter in measure.definition(id_).parameters}
    return {
        "id": one.id, "version": one.version, "title": one.title["zh"], "title_en": one.title.get("en", ""),
        "formula": one.formula["zh"], "source": f"{one.source.document} {one.source.clause}",
        "parameters": [
            {"name": p.name, "value": p.value, "national": national[p.name], "unit": p.unit, "title": p.title["zh"]}
            for p in one.parameters
        ],
        "series": [{"version": s.version, "first": s.first, "last": s.last} for s in series],
    }  # fmt: skip


@measure_group.command("adjust")
@click.argument("id_", metavar="MEASURE")
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--reason", required=True, help="Why this place differs; shown where the curve breaks.")
@click.option("--document", required=True, help="The document that says so.")
@click.option("--by", required=True, help="Who decided.")
@json_option
def adjust(id_: str, settings: tuple[str, ...], reason: str, document: str, by: str, as_json: bool) -> None:
    """Set parameters of MEASURE otherwise than the national rule: a new version, counted from the next run on.

    Several values of one parameter stand with commas between them. Parameters set before stay as they were set.
    """

    async def work(platform: Platform) -> Definition:
        async with platform.pool.connection() as connection:
            known = await measure.current(connection, id_)
            national = _values(measure.definition(id_))
            values = {name: value for name, value in _values(known).items() if value != national[name]}
            values |= {name: _constant(known, name, text) for name, text in _pairs(settings)}
            return await measure.adjust(
                connection, id_, values, reason=reason, document=document, by=by, at=platform.clock()
            )

    one = asyncio.run(with_platform(work))
    text = f"{one.id} is now version {one.version}; `hb measure recompute` counts it at once, else the service does within minutes"
    show({"id": one.id, "version": one.version, "parameters": _values(one)}, as_json=as_json, text=text)


def _pairs(settings: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for one in settings:
        name, equals, text = one.partition("=")
        if not equals or not name or not text:
            raise Incorrect("write each parameter as NAME=VALUE")
        found.append((name, text))
    return found


def _constant(known: Definition, name: str, text: str) -> Constant:
    """The text as the parameter's kind: text, number, or several."""
    national = next((parameter.value for parameter in known.parameters if parameter.name == name), None)
    if national is None:
        names = ", ".join(parameter.name for parameter in known.parameters) or "none"
        raise Incorrect(f"{known.id} has no parameter {name}; it has {names}")
    if isinstance(national, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(national, str):
        return text
    try:
        return int(text) if isinstance(national, int) else float(text)
    except ValueError:
        raise Incorrect(
            f"the parameter {name} is a {'whole number' if isinstance(national, int) else 'number'}"
        ) from None


def _values(one: Definition) -> dict[str, Constant]:
    return {parameter.name: parameter.value for parameter in one.parameters}


@measure_group.command("recompute")
@click.option("--everything", is_flag=True, help="Make what is counted from anew, too, from the lake.")
@engine_option
@json_option
def recompute(everything: bool, engine: str | None, as_json: bool) -> None:
    """Count the measures over the lake as it is now: what changed, or everyone after a new day or version."""

    async def work(platform: Platform) -> measure.Refreshed:
        async with platform.pool.connection() as connection:
            deliveries = await delivery_days(platform, connection)
        lake, at = Lake(platform.settings.lake), platform.clock()
        return await measure.refresh(
            platform.pool, lake, at, deliveries=deliveries, everything=everything,
            cluster=cluster_of(platform.settings, engine),
        )  # fmt: skip

    done = asyncio.run(with_platform(work))
    extent = "everyone" if done.everything else f"{done.persons} persons touched by {done.changed} changed resources"
    text = f"{len(done.measures)} measures, {extent}, {done.figures} figures put or compared in {done.seconds:.1f} s"
    result = {
        "measures": len(done.measures), "everything": done.everything, "changed": done.changed,
        "persons": done.persons, "figures": done.figures, "seconds": round(done.seconds, 3),
    }  # fmt: skip
    show(result, as_json=as_json, text=text)


def _said(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
