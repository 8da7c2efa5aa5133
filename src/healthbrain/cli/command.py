"""The root command: finds the verbs and turns errors into messages and exit codes.

A verb's module is imported when that verb is asked for: all of them together are most of a second and a half of CPU, which
every command would pay, and so would every process that helps one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, MutableMapping

import click

from healthbrain import __version__
from healthbrain.cli.output import fail
from healthbrain.errors import HealthBrainError

_VERBS = {
    "init": "operate:init", "serve": "operate:serve", "status": "operate:status", "doctor": "operate:doctor",
    "migrate": "operate:migrate", "demo": "demo:demo", "import": "data:import_", "token": "people:token",
    "user": "people:user", "organisation": "sources:organisation", "source": "sources:source",
    "client": "applications:client", "audit": "trust:audit", "lake": "lake:lake_group",
    "measure": "measures:measure_group", "assess": "assess:assess_group", "monitor": "monitors:monitor_group", "erase": "erase:erase",
    "dashboard": "dashboards:dashboard_group",
}  # fmt: skip


class _Verbs(MutableMapping[str, click.Command]):
    """The verbs by name, imported as they are looked up."""

    def __init__(self) -> None:
        self._places = dict(_VERBS)
        self._found: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._found:
            module, _, attribute = self._places[name].partition(":")
            self._found[name] = getattr(importlib.import_module(f"healthbrain.cli.{module}"), attribute)
        return self._found[name]

    def __setitem__(self, name: str, verb: click.Command) -> None:
        self._places[name], self._found[name] = "", verb

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._found.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


@click.group(commands=_Verbs(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hb")
def cli() -> None:
    """HealthBrain: the platform on which a district or a city runs its digital health.

    Settings come from the environment (HB_DATA, HB_HOST, HB_PORT, HB_MLLP_PORT, HB_DATABASE_URL …) and from
    healthbrain.toml in the data folder. Start with `hb demo`, or with `hb init` and `hb serve`.
    """


def main() -> None:
    """Entry point of `hb`."""
    try:
        # without standalone mode click returns the code of context.exit instead of leaving with it
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except HealthBrainError as error:
        sys.exit(fail(error))
