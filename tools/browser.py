"""Make sure there is a Chromium for the browser tests: Debian's package, installed when we are root and it is missing.

Without one the browser tests skip and say so; everything else runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def main() -> None:
    if os.environ.get("HB_CHROMIUM") or shutil.which("chromium"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print("browser tests will be skipped: no Chromium here (Debian: apt-get install chromium, or set HB_CHROMIUM)")
        return
    print("installing Chromium for the browser tests …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"]
    for command in (
        ["apt-get", "update", *quiet],
        ["apt-get", "install", "-y", "--no-install-recommends", *quiet, "chromium", "fonts-noto-cjk"],
    ):
        if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
            print("Chromium could not be installed; browser tests will be skipped", file=sys.stderr)
            return


if __name__ == "__main__":
    main()
