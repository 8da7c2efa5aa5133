"""Write docs/reference/cli.md from the `hb` command itself. `--check` only says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from healthbrain.cli.command import cli

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"

HEAD = """# The `hb` command

Written by `tools/make_reference.py` from the command itself; don't edit.

Settings come from the environment and from `healthbrain.toml` in the data folder, see [settings](settings.md).
Exit codes: 0 done · 1 our fault · 2 what was asked is wrong · 3 something needed is down · 4 it clashes with what is
there · 5 done, but some of it was refused · 130 stopped by Ctrl-C.
"""


def text() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(name, cli.commands[name]) for name in sorted(cli.commands))])


def section(name: str, command: click.Command) -> str:
    """One verb: what it does, its arguments and options."""
    context = click.Context(command, info_name=f"hb {name}")
    usage = " ".join([f"hb {name}", *command.collect_usage_pieces(context)])
    lines = [f"## hb {name}", "", f"`{usage}`", "", paragraphs(command.help or ""), ""]
    options = [p for p in command.params if isinstance(p, click.Option)]
    if options:
        lines += ["| option | meaning |", "|---|---|", *(row(option) for option in options), ""]
    return "\n".join(lines)


def paragraphs(help_: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in help_.split("\n\n"))


def row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    default = option.default
    shown = f" Default: `{default}`." if option.show_default and default not in (None, False) else ""
    if isinstance(option.type, click.Choice):
        shown += f" One of {', '.join(f'`{choice}`' for choice in option.type.choices)}."
    if option.envvar:
        shown += f" Also from `{option.envvar}`."
    return f"| {names} | {(option.help or '').replace('|', chr(92) + '|')}{shown} |"


def main() -> None:
    if "--check" in sys.argv[1:]:
        sys.exit(
            0
            if TARGET.read_text("utf-8") == text()
            else "docs/reference/cli.md is not current: run tools/make_reference.py"
        )
    TARGET.write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
