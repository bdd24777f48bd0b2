from __future__ import annotations

import json
import logging
import sys

import pytest

from airflow_provider_alvys.__main__ import main
from airflow_provider_alvys.simulator.process import Simulator


def test_the_command_prints_a_table_with_totals(alvys: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--streams", "load_documents, loads"])
    lines = [line.split("|") for line in capsys.readouterr().out.splitlines() if "|" in line]
    header, documents, loads, sums = ([cell.strip() for cell in line] for line in lines)
    assert header[:3] == ["stream", "rows", "requests"]
    assert documents[:3] == ["load_documents", "-", "450"]
    assert loads[:3] == ["loads", "450", "4"]
    # Without children.
    assert sums[:3] == ["total of known figures", "450", "4"]


def test_json_has_numbers_and_no_totals(alvys: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--streams", "loads,trip_stops", "-o", "json"])
    loads, stops = json.loads(capsys.readouterr().out)
    assert (loads["stream"], loads["rows"], loads["requests"]) == ("loads", 450, 4)
    assert (stops["stream"], stops["rows"]) == ("trip_stops", None)


def test_the_log_stays_out_of_the_rows(alvys: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    alvys.order_faults({"kind": "status", "status": 503, "endpoint": "POST loads/search", "retry_after": "0"})
    handler = logging.StreamHandler(sys.stdout)
    logging.getLogger().addHandler(handler)
    try:
        main(["plan", "--streams", "loads", "-o", "json"])
    finally:
        logging.getLogger().removeHandler(handler)
    printed = capsys.readouterr()
    assert "503" in printed.err
    assert json.loads(printed.out)


@pytest.mark.parametrize("arguments", [["--streams", "lods"], ["--conn-id", "nobody"]])
def test_the_command_prints_what_is_wrong(
    alvys: Simulator, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["plan", *arguments])
    said = capsys.readouterr().err
    assert "no stream 'lods'" in said or "nobody" in said


def test_a_refusal_is_exit_code_1(alvys: Simulator, capsys: pytest.CaptureFixture[str]) -> None:
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": "POST token", "times": 99})
    with pytest.raises(SystemExit, match="1"):
        main(["plan", "--streams", "loads"])
    said = capsys.readouterr()
    assert "500" in said.err
    assert said.out == ""
