"""The option --engine of verbs that read the whole lake: what works on it this one time, instead of what HB_LAKE_ENGINE says."""

from __future__ import annotations

from dataclasses import replace

import click

from healthbrain.settings import Settings

engine_option = click.option(
    "--engine",
    type=click.Choice(("duckdb", "spark")),
    help="What works on the lake this time; else HB_LAKE_ENGINE. spark needs HB_SPARK_MASTER.",
)


def cluster_of(settings: Settings, engine: str | None) -> str:
    """The Spark cluster to work on; '' = DuckDB in this process. Raises Incorrect for half a choice."""
    return (replace(settings, lake_engine=engine) if engine else settings).cluster
