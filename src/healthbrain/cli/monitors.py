"""Verbs of monitors: list, judge."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from healthbrain.cli.opened import with_platform
from healthbrain.cli.output import json_option, show
from healthbrain.measure.analysis import monitors
from healthbrain.runtime import Platform
from healthbrain.runtime.jobs import judge_monitors


@click.group("monitor")
def monitor_group() -> None:
    """Monitors: saved questions with a threshold, judged by the worker."""


@monitor_group.command("list")
@click.option("--owner", default="", help="Only those of this account.")
@json_option
def list_monitors(owner: str, as_json: bool) -> None:
    """Every monitor with how it stands, and the crossings that go on. Values are shown to their owner on the screens only."""

    async def work(platform: Platform) -> dict[str, Any]:
        async with platform.pool.connection() as connection:
            found = await monitors.monitors(connection, owner or None)
            crossed = await monitors.crossings(connection, owner or None)
        return {
            "monitors": [
                {
                    "id": one.id, "name": one.name, "owner": one.owner, "state": one.state or "new",
                    "side": one.question["watch"]["side"], "threshold": one.question["watch"]["value"],
                    "places": one.places, "crossed": one.crossed, "unseen": one.unseen, "why": one.why,
                    "judged_at": one.judged_at.isoformat() if one.judged_at else None,
                    "since": min((c.crossed_at.isoformat() for c in crossed if c.question == one.id and not c.ended_at), default=None),
                }
                for one in found
            ]
        }  # fmt: skip

    found = asyncio.run(with_platform(work))
    lines = [
        f"{one['id']:<6}{one['state']:<9}{'>=' if one['side'] == 'above' else '<='} {one['threshold']:<10g}{one['crossed']:>4} of {one['places']:<6}{one['owner']:<12}{one['name']}"
        + (f"  {one['why']}" if one["why"] else "")
        for one in found["monitors"]
    ]
    show(found, as_json=as_json, text="\n".join(lines) or "no saved question has a threshold")


@monitor_group.command("judge")
@json_option
def judge(as_json: bool) -> None:
    """Judge the monitors whose turn it is now, as the worker does."""

    async def work(platform: Platform) -> None:
        while await judge_monitors(platform):
            pass

    asyncio.run(with_platform(work))
    show(
        {"judged": True},
        as_json=as_json,
        text="every monitor whose turn it was is judged; `hb monitor list` shows them",
    )
