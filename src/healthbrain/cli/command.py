"""The root command: collects the verbs and turns errors into messages and exit codes."""

from __future__ import annotations

import sys

import click

from healthbrain import __version__
from healthbrain.cli import applications, data, demo, erase, lake, operate, people, sources, trust, views
from healthbrain.cli.output import fail
from healthbrain.errors import HealthBrainError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hb")
def cli() -> None:
    """HealthBrain: the platform on which a district or a city runs its digital health.

    Settings come from the environment (HB_DATA, HB_HOST, HB_PORT, HB_MLLP_PORT, HB_DATABASE_URL …) and from
    healthbrain.toml in the data folder. Start with `hb demo`, or with `hb init` and `hb serve`.
    """


for verb in (
    operate.init, operate.serve, operate.status, operate.doctor, operate.migrate,
    demo.demo, data.import_, people.token, people.user, sources.organisation, sources.source, applications.client, trust.audit, lake.lake_group, erase.erase,
):  # fmt: skip
    cli.add_command(verb)
lake.lake_group.add_command(views.view_group)


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
