"""Run a chaos test in a temporary directory, and exit with its result."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def run_in_home(name: str, test: Callable[[Path], list[str]]) -> None:
    """
    Run a test in an empty directory, which stays if the test fails.

    :param test: takes the directory and returns the failures.
    :raises SystemExit: with 1 if there are failures.
    """
    # As an exception, SIGTERM stops the daemons, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated"))
    home = Path(tempfile.mkdtemp(prefix=f"alvys-{name}-"))
    failures = test(home)
    if failures:
        print("\n".join(["", "FAILED:", *failures, f"Files and logs: {home}"]))
        sys.exit(1)
    shutil.rmtree(home)
    print("Passed.")
