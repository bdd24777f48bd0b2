"""A company that is reset to the same options is the same again, whatever was done to the one before."""

from __future__ import annotations

from airflow_provider_alvys.simulator.process import Simulator

STREAMS = ("loads", "trips", "invoices", "drivers", "driver_settlement_statements")


def rows(alvys: Simulator) -> dict[str, list[bytes]]:
    return {stream: alvys.truth_rows(stream=stream) for stream in STREAMS}


def test_no_change_outlives_a_reset_to_the_same_options(alvys: Simulator) -> None:
    seen = []
    for _ in range(4):
        alvys.reset(loads=40, fleet=10)
        before = rows(alvys)
        (changed,) = alvys.change(stream="loads", rows=1, columns={"Status": "Cancelled"})
        alvys.remove(stream="drivers", rows=1)
        alvys.add(stream="trips", rows=1)
        after = rows(alvys)
        differing = {line for line in after["loads"] if line not in before["loads"]}
        assert any(changed.encode() in line for line in differing)
        assert len(after["drivers"]) == len(before["drivers"]) - 1
        assert len(after["trips"]) == len(before["trips"]) + 1
        seen.append((before, len(differing), after["driver_settlement_statements"]))
    assert all(one == seen[0] for one in seen)
