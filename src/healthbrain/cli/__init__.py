"""`hb`: the command of the platform. Each verb has help, clear errors, exit codes and `--json`.

Exit codes: 0 done · 1 our fault · 2 what was asked is wrong · 3 something needed is down · 4 it clashes with what is
there · 5 done, but some of it was refused · 130 stopped by Ctrl-C.
"""

from healthbrain.cli.command import main

__all__ = ["main"]
