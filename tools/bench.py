"""`make bench`: every benchmark, one after another, with the machine they ran on. Name some to run only those.

    make bench                      # all
    make bench ARGS="store lake"    # some
    make bench ARGS="--out docs/measured.txt"

Each prints its data size and method. Machines are noisy: compare figures of one run, and CPU per unit rather than rates.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
ORDER = ("fhir", "store", "growth", "twin", "exchange", "lake", "sql_on_fhir", "audit", "platform")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which of: {', '.join(available())} [default: all]")
    parser.add_argument("--out", type=Path, help="also write everything to this file")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(available())
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(available())}")
    text = [machine()]
    print(text[0], flush=True)
    for name in chosen.names or available():
        text.append(run(name))
    if chosen.out:
        chosen.out.write_text("\n".join(text), "utf-8")


def available() -> list[str]:
    found = {path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py")}
    return [*(n for n in ORDER if n in found), *sorted(found - set(ORDER))]


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"# {datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {os.cpu_count()} cores ({model}) · {memory:.0f} GiB · "
        f"Linux {platform.release()} · Python {platform.python_version()} · load {os.getloadavg()[0]:.1f}\n"
    )


def run(name: str) -> str:
    title = f"## {name}\n"
    print(title, flush=True)
    done = subprocess.run(
        [sys.executable, str(HERE / f"bench_{name}.py")], stdout=subprocess.PIPE, text=True, check=False
    )
    text = done.stdout + ("" if done.returncode == 0 else f"\n(failed with exit {done.returncode})\n")
    print(text, flush=True)
    return title + text


if __name__ == "__main__":
    main()
