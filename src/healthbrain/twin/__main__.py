"""`python -m healthbrain.twin`: write a district to files."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path

from healthbrain.twin.district import District
from healthbrain.twin.files import write


def main(arguments: list[str] | None = None) -> int:
    """Write a simulated district to a folder and say how large it became."""
    parser = argparse.ArgumentParser(prog="python -m healthbrain.twin", description=main.__doc__)
    parser.add_argument("--residents", type=int, default=1000, help="how many people, about (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="another number gives another district (default 1)")
    parser.add_argument("--end", type=date.fromisoformat, required=True, help="last day of the period, as 2026-11-01")
    parser.add_argument("--months", type=int, default=18, help="length of the period (default 18)")
    parser.add_argument("--without-faults", action="store_true", help="leave out messages that would be refused")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    chosen = parser.parse_args(arguments)
    district = District(chosen.seed, chosen.residents, end=chosen.end, months=chosen.months)
    done = write(district, chosen.out, faults=not chosen.without_faults)
    sys.stdout.write(
        f"{len(district.people())} residents, {done.messages} messages, {done.resources} resources, "
        f"{done.bytes / 1e6:.1f} MB in {chosen.out}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
