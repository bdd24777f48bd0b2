"""
Write the outputs into a page: play each case against a simulator.

    python -m scripts.runbook.write docs/runbook.md
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from airflow_provider_alvys.simulator.process import Simulator
from scripts.runbook.cases import CASES
from scripts.runbook.night import begin
from scripts.runbook.page import split_page


def main(page: Path) -> None:
    """Write the page."""
    cases = CASES[page.name]
    text = ""
    with tempfile.TemporaryDirectory() as folder, Simulator() as alvys:
        for section in split_page(page.read_text()):
            if case := cases.get(section.title):
                with begin(alvys, Path(folder) / case.__name__, section) as night:
                    case(night)
            text += section.played()
    page.write_text(text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        # Importing Airflow creates files in its home.
        os.environ.setdefault("AIRFLOW_HOME", home)
        main(Path(sys.argv[1]))
