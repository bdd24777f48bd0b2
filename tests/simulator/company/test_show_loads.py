"""The loads that ``scripts.show_loads`` prints."""

from __future__ import annotations

from airflow_provider_alvys.simulator.process import Simulator
from scripts.show_loads import KINDS, describe, read_files


def test_each_kind_of_load_is_found_and_fits_on_a_page(alvys: Simulator) -> None:
    alvys.reset(loads=600)
    files, names = read_files(alvys)
    for kind, is_one in KINDS.items():
        chosen = next((file for file in files if is_one(file)), None)
        assert chosen is not None, kind
        lines = list(describe(chosen, names))
        assert lines[0].startswith(f"Load {chosen.load['LoadNumber']}: ")
        assert 6 < len(lines) <= 40, kind
