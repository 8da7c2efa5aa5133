"""How fast the twin makes a district's eighteen months, from nothing to message bytes, on one core.

    python tools/bench_twin.py [residents] [repeats]

Method: a fresh District each time (people, courses, messages, sorting by time), wall clock of `list(messages())`'s
consumption without keeping the messages; best and median of the repeats; no I/O below 200,000 messages.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from datetime import date

from healthbrain.twin import District

END = date(2026, 11, 1)


def once(seed: int, residents: int) -> tuple[float, int, int, int, int]:
    """Seconds, residents, messages, resources and bytes of one district."""
    begun = time.perf_counter()
    district = District(seed, residents, end=END)
    messages = resources = size = 0
    for message in district.messages():
        messages += 1
        resources += 0 if message.fault else message.resources
        size += len(message.payload)
    return time.perf_counter() - begun, len(district.people()), messages, resources, size


def main() -> None:
    """Print residents, messages and resources per second."""
    residents = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    once(0, 20)  # tables and templates are read once
    runs = [once(seed, residents) for seed in range(1, repeats + 1)]
    seconds = [run[0] for run in runs]
    _, people, messages, resources, size = runs[0]
    best, middle = min(seconds), statistics.median(seconds)
    print(f"Python {platform.python_version()}, one core, {repeats} districts of {residents} residents, 18 months")
    print(f"residents/s   best {residents / best:8.0f}   median {residents / middle:8.0f}")
    print(f"messages/s    best {messages / best:8.0f}   ({messages} messages, {messages / people:.1f} a resident)")
    print(f"resources/s   best {resources / best:8.0f}   ({resources} resources, {resources / people:.1f} a resident)")
    print(f"bytes         {size / 1e6:.1f} MB, {size / people / 1e3:.1f} kB a resident")


if __name__ == "__main__":
    main()
