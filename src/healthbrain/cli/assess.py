"""Verbs of assessments: list, run, show, verify, scheme."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from healthbrain.cli.opened import with_platform
from healthbrain.cli.output import CLASH, json_option, show
from healthbrain.errors import Incorrect, NotFound
from healthbrain.measure import assessment
from healthbrain.measure.assessment import Changed, Kept, Run
from healthbrain.measure.strict import read
from healthbrain.runtime import Platform
from healthbrain.runtime.assessments import assess, candidates


@click.group("assess")
def assess_group() -> None:
    """Assessments: schemes with weights, runs over frozen figures, and the proof that they can be reproduced."""


@assess_group.command("list")
@json_option
def list_all(as_json: bool) -> None:
    """The schemes that can be run, and the runs that were made."""

    async def work(platform: Platform) -> dict[str, Any]:
        async with platform.pool.connection() as connection:
            schemes = await assessment.schemes(connection)
            runs = await assessment.runs(connection)
        return {"schemes": [_scheme(one) for one in schemes], "runs": [_run(one) for one in runs]}

    found = asyncio.run(with_platform(work))
    lines = ["Schemes", *(f"  {s['id']:<20}v{s['version']:<4}{s['level']:<12}{s['period']:<8}{s['items']:>3} items  {s['title']}" for s in found["schemes"])]  # fmt: skip
    lines += ["Runs", *(f"  {r['id']:<6}{r['scheme']:<20}v{r['version']:<4}{r['period']:<9}{r['state']:<10}{r['units']:>3} units  {r['digest'][:12]}" for r in found["runs"])]  # fmt: skip
    show(found, as_json=as_json, text="\n".join(lines))


@assess_group.command("run")
@click.argument("scheme")
@click.argument("period")
@click.option("--organisation", default="", help="Code of the district or city assessed; the first one without it.")
@click.option("--publish", "publishing", is_flag=True, help="Let the units see it at once; else it is a draft.")
@click.option("--by", default="hb", help="Who answers for it.")
@json_option
def run(scheme: str, period: str, organisation: str, publishing: bool, by: str, as_json: bool) -> None:
    """Assess PERIOD (2026, 2026-Q3, 2026-09) by SCHEME on the figures published now, and keep it."""

    async def work(platform: Platform) -> dict[str, Any]:
        async with platform.pool.connection() as connection:
            tree = await platform.tree(connection)
            node = tree.by_code(organisation) if organisation else tree.root
            if node is None or node.kind not in ("district", "municipality"):
                raise NotFound("there is no district or city with this code")
            id_ = await assess(platform, connection, scheme, period, area=node.key, by=by)
            if publishing:
                await assessment.publish(connection, id_, by=by, at=platform.clock())
        return await _whole(platform, id_)

    _print(asyncio.run(with_platform(work)), as_json)


@assess_group.command("show")
@click.argument("id_", metavar="RUN", type=int)
@json_option
def show_run(id_: int, as_json: bool) -> None:
    """The results of a run, best first."""
    _print(asyncio.run(with_platform(lambda platform: _whole(platform, id_))), as_json)


@assess_group.command("verify")
@click.argument("id_", metavar="RUN", type=int)
@click.option("--today", "with_today", is_flag=True, help="Also say what differs on the figures of today.")
@json_option
def verify(id_: int, with_today: bool, as_json: bool) -> None:
    """Recompute a run from the scheme and figures it froze and compare the digests; exit code 4 when they differ."""

    async def work(platform: Platform) -> dict[str, Any]:
        async with platform.pool.connection() as connection:
            kept, content = await assessment.read(connection, id_)
            proof = assessment.verify(content, kept.digest)
            found: dict[str, Any] = {"run": id_, "same": proof.same, "kept": proof.kept, "recomputed": proof.recomputed}
            if with_today:
                scheme, then = assessment.parts_of(content)
                tree = await platform.tree(connection)
                now = await assessment.gather(connection, scheme, kept.period, candidates(tree, kept.organisation))
                found["changed"] = [_changed(one) for one in assessment.compared(scheme, then, now)]
        return found

    found = asyncio.run(with_platform(work))
    lines = [
        f"run {id_}: {'reproduced, the digest is the same' if found['same'] else 'NOT reproduced, the digests differ'}",
        f"  kept        {found['kept']}",
        f"  recomputed  {found['recomputed']}",
    ]
    if "changed" in found:
        lines.append(f"  {len(found['changed'])} units differ on the figures of today")
        lines += [f"    {one['name']}  {one['then']} -> {one['now']}  ({', '.join(one['items'])})" for one in found["changed"]]  # fmt: skip
    show(found, as_json=as_json, text="\n".join(lines))
    if not found["same"]:
        click.get_current_context().exit(CLASH)


@assess_group.command("scheme")
@click.argument("name", metavar="SCHEME|FILE")
@click.option("--save", is_flag=True, help="Keep FILE as a new own scheme.")
@click.option("--by", default="hb", help="Who answers for it.")
@json_option
def scheme(name: str, save: bool, by: str, as_json: bool) -> None:
    """A scheme as JSON; or check a scheme in a YAML FILE against the measures here, and keep it with --save."""
    path = Path(name)
    text = path.read_text("utf-8") if path.suffix and path.is_file() else None

    async def work(platform: Platform) -> dict[str, Any]:
        async with platform.pool.connection() as connection:
            if not path.suffix:
                return (await assessment.find(connection, name)).scheme.as_raw()
            raw = read(text, path.name) if text is not None else None
            if not isinstance(raw, dict):
                raise Incorrect("there is no file of this name with a scheme in it")
            raw.pop("version", None)
            if not save:
                return (await assessment.checked(connection, raw, path.name)).as_raw()
            tree = await platform.tree(connection)
            if tree.root is None:
                raise NotFound("there is no organisation yet")
            made = await assessment.create(
                connection, raw, organisation=tree.root.key, by=by, at=platform.clock(), change=path.name
            )
            return made.as_raw()

    found = asyncio.run(with_platform(work))
    show(found, as_json=as_json, text=json.dumps(found, ensure_ascii=False, indent=2))


async def _whole(platform: Platform, id_: int) -> dict[str, Any]:
    async with platform.pool.connection() as connection:
        kept, content = await assessment.read(connection, id_)
    _, inputs = assessment.parts_of(content)
    names = {one.key: one.name or one.code or kept.level for one in inputs.units}
    results = [{"name": names[one["unit"]], **one} for one in json.loads(content)["results"]]
    return {**_run(kept), "results": results}


def _print(found: dict[str, Any], as_json: bool) -> None:
    lines = [
        f"{found['title']} v{found['version']}, {found['period']}: run {found['id']} ({found['state']}), {found['units']} units"
        + ("" if found["complete"] else ", the period is not over")
    ]
    lines += [
        f"  {one['rank'] or '-':>4}  {one['total'] or '-':>7}  {one['grade'] or '-':<10}{one['name']}"
        for one in found["results"]
    ]
    show(found, as_json=as_json, text="\n".join([*lines, f"digest {found['digest']}"]))


def _scheme(one: Kept) -> dict[str, Any]:
    scheme = one.scheme
    return {
        "id": scheme.id, "version": scheme.version, "title": scheme.title.get("zh") or scheme.title.get("en", ""),
        "level": scheme.level, "period": scheme.period, "items": len(list(scheme.items)), "own": one.own,
    }  # fmt: skip


def _run(one: Run) -> dict[str, Any]:
    return {
        "id": one.id, "scheme": one.scheme, "version": one.scheme_version, "title": one.title, "level": one.level,
        "period": one.period, "state": one.state, "units": one.units, "complete": one.complete, "digest": one.digest,
        "made_by": one.made_by, "made_at": one.made_at.isoformat(),
    }  # fmt: skip


def _changed(one: Changed) -> dict[str, Any]:
    return {
        "unit": one.unit.key, "name": one.unit.name or one.unit.code, "items": list(one.items),
        "then": str(one.then.total) if one.then else None, "now": str(one.now.total) if one.now else None,
    }  # fmt: skip
