from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.__main__ import main
from airflow_provider_alvys.api.errors import AlvysServerError
from airflow_provider_alvys.landing.dataset.cursor import replace_cursor
from airflow_provider_alvys.simulator.process import Simulator
from tests.cli.conftest import Rows
from tests.conftest import Land
from tests.lake import ids, manifests, read_lines, read_manifest
from tests.pages import Block, block_params, parse_commands
from tests.transfers.test_alvys_to_object_storage import in_run

Run = Callable[..., Rows]
Refuse = Callable[..., tuple[int, str]]

STARTS = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z")


def land_days(land: Land, *, days: int = 3, **arguments: Any) -> None:
    """Land one window for each of the days; the first begins with the data set."""
    for until in STARTS[:days]:
        land(in_run(until), until=until, **arguments)


def cursor_of(lake: Path) -> Path:
    (file,) = lake.rglob("_cursor-*.json")
    return file


def until(lake: Path) -> str:
    return str(json.loads(cursor_of(lake).read_bytes())["until"])


def test_show_prints_position_and_start_of_the_next_sync(alvys: Simulator, land: Land, run: Run) -> None:
    land_days(land)
    (row,) = run("cursor", "show")
    assert (row["stream"], row["until"], row["window_by"]) == ("loads", STARTS[2], "updated")
    assert row["next_sync_from"] == "2026-11-21T23:55:00Z"
    assert row["moved_by"] == f"dag {STARTS[2]}"
    assert row["age"] > 0
    assert row["problem"] is None


def test_a_cursor_is_rewound_only_with_yes(
    alvys: Simulator, land: Land, lake: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    land_days(land)
    before = cursor_of(lake).read_bytes()
    rewind = ("cursor", "rewind", "--stream", "loads", "--by", "36h")
    (row,) = run(*rewind)
    assert (row["before"], row["after"]) == (STARTS[2], "2026-11-20T12:00:00Z")
    assert row["next_sync_from"] == "2026-11-20T11:55:00Z"
    assert cursor_of(lake).read_bytes() == before
    assert run(*rewind, "--yes") == [row]
    changed = json.loads(cursor_of(lake).read_bytes())
    assert changed == json.loads(before) | {"until": "2026-11-20T12:00:00Z"}
    result = land(until=STARTS[2])
    assert read_manifest(result["manifest"])["window"]["since"] == row["next_sync_from"]
    # To a time, with the table that people see.
    capsys.readouterr()
    main(
        [
            "cursor",
            "rewind",
            "--path",
            str(lake),
            "--stream",
            "loads",
            "--to",
            "2026-11-01T00:00:00Z",
            "--yes",
        ]
    )
    said = capsys.readouterr()
    assert "2026-11-01T00:00:00Z" in said.out
    assert str(cursor_of(lake)) in said.err
    assert until(lake) == "2026-11-01T00:00:00Z"


def test_a_lost_cursor_is_recovered_as_it_was(alvys: Simulator, land: Land, lake: Path, run: Run) -> None:
    land_days(land)
    file = cursor_of(lake)
    before = file.read_bytes()
    file.unlink()
    recover = ("cursor", "recover", "--stream", "loads")
    (row,) = run(*recover)
    assert (row["before"], row["after"]) == (None, STARTS[2])
    assert not file.exists()
    run(*recover, "--yes")
    # Of the DAGs that moved it, the last is known.
    assert file.read_bytes() == before
    file.write_bytes(before[:40])
    run(*recover, "--yes")
    assert file.read_bytes() == before


def test_only_a_cursor_that_is_lost_causes_a_warning(
    alvys: Simulator, land: Land, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def warned() -> bool:
        return any(record.msg.startswith("No cursor") for record in caplog.records)

    land(in_run("first"))
    # Other filters, another tenant and another kind of window have cursors of their own.
    land(in_run("filtered"), filters={"IncludeDeleted": True})
    land(in_run("other"), tenant="other")
    land(in_run("created"), window_by="created")
    land(in_run("refreshed"), full_refresh=True)
    assert not warned()
    for file in lake.rglob("_cursor-*.json"):
        file.unlink()
    land(in_run("full"), full_refresh=True)
    land(in_run("backfill"), window_by="created", since="2026-03-01T00:00:00Z", until="2026-04-01T00:00:00Z")
    land(in_run("sweep"), window_by="created")
    land(in_run("of March"), since="2026-03-01T00:00:00Z", until="2026-04-01T00:00:00Z")
    assert not warned()
    for file in lake.rglob("_cursor-*.json"):
        file.unlink()
    land(in_run("lost"))
    assert warned()


def test_a_damaged_manifest_does_not_stop_a_sync_without_a_cursor(
    alvys: Simulator, land: Land, lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    land(in_run("first"))
    land(in_run("second"))
    cursor_of(lake).unlink()
    for number, file in enumerate(manifests(lake)):
        file.write_text("{")
        caplog.clear()
        assert len(read_lines(land(in_run(f"after {number}"))["manifest"])) == 450
        cursor_of(lake).unlink()


def test_a_cursor_is_recovered_up_to_the_first_hole(
    alvys: Simulator, land: Land, lake: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    land_days(land, days=4)
    hole = next(file for file in manifests(lake) if str(read_manifest(file)["as_of"]) == STARTS[2])
    cursor_of(lake).unlink()
    hole.unlink()
    main(["cursor", "recover", "--path", str(lake), "--stream", "loads"])
    said = capsys.readouterr().err
    assert f"until {STARTS[1]} join" in said
    # The window of the last day begins with its overlap.
    assert "until 2026-11-21T23:55:00Z" in said
    (row,) = run("cursor", "recover", "--stream", "loads", "--yes")
    assert row["after"] == until(lake) == STARTS[1]
    # The regular sync reads the hole, and all rows have landed again.
    land(until=STARTS[3])
    landed = set().union(*(ids(read_lines(file)) for file in manifests(lake)))
    assert landed == set(alvys.truth_keys(until=STARTS[3], window_by="updated"))


def test_open_runs_prove_nothing(alvys: Simulator, land: Land, lake: Path, run: Run) -> None:
    land_days(land)
    cursor_of(lake).unlink()
    last = max(manifests(lake), key=lambda file: str(read_manifest(file)["as_of"]))
    last.write_text(json.dumps(read_manifest(last) | {"proof": "open"}))
    (row,) = run("cursor", "recover", "--stream", "loads", "--yes")
    assert row["after"] == until(lake) == STARTS[1]


def test_a_cursor_moves_forward_only_over_what_is_proved(
    alvys: Simulator, land: Land, lake: Path, run: Run, refuse: Refuse
) -> None:
    land_days(land)
    set_to = ("cursor", "set", "--stream", "loads", "--until")
    for time in (STARTS[0], STARTS[2]):
        (row,) = run(*set_to, time, "--yes")
        assert until(lake) == row["after"] == time
    for more in ((), ("--yes",)):
        code, said = refuse(*set_to, STARTS[3], *more)
        assert code == 2
        assert f"from {STARTS[2]} until {STARTS[3]}" in said
        assert "--force" in said
        assert until(lake) == STARTS[2]
    run(*set_to, STARTS[3], "--yes", "--force")
    assert until(lake) == STARTS[3]


def test_a_lost_cursor_is_set_to_what_is_proved(
    alvys: Simulator, land: Land, lake: Path, run: Run, refuse: Refuse
) -> None:
    land_days(land)
    cursor_of(lake).unlink()
    code, said = refuse("cursor", "rewind", "--stream", "loads", "--by", "2d", "--yes")
    assert (code, "cursor recover" in said) == (2, True)
    assert refuse("cursor", "set", "--stream", "loads", "--until", STARTS[3], "--yes")[0] == 2
    run("cursor", "set", "--stream", "loads", "--until", STARTS[1], "--yes")
    assert until(lake) == STARTS[1]


def test_a_first_load_does_not_hide_the_regular_cursor(
    alvys: Simulator, land: Land, lake: Path, run: Run
) -> None:
    land(since="2026-01-01T00:00:00Z", until=STARTS[3], window_by="created")
    land_days(land)
    cursor_of(lake).unlink()
    (row,) = run("cursor", "recover", "--stream", "loads", "--yes")
    assert row["after"] == STARTS[2]


def test_each_parent_has_a_position(
    alvys: Simulator, land: Land, lake: Path, run: Run, refuse: Refuse
) -> None:
    drivers = sorted(alvys.truth_keys(stream="drivers"))[:3]
    for number, day in enumerate(STARTS[:3]):
        land(in_run(day), stream="driver_events", parents=drivers[: 3 - number // 2], until=day)
    file = cursor_of(lake)
    before = json.loads(file.read_bytes())
    positions = {drivers[0]: STARTS[2], drivers[1]: STARTS[2], drivers[2]: STARTS[1]}
    assert before["parents"] == positions
    (row,) = run("cursor", "show")
    assert (row["parents"], row["until"], row["earliest"]) == (3, STARTS[2], STARTS[1])
    (row,) = run("cursor", "show", "--parent", drivers[2])
    assert row["until"] == STARTS[1]
    code, said = refuse("cursor", "show", "--parent", f"{drivers[0]}x")
    assert (code, f"Did you mean {drivers[0]}?" in said) == (2, True)
    one = ("cursor", "rewind", "--stream", "driver_events", "--by", "1d", "--yes")
    (row,) = run(*one, "--parent", drivers[0])
    assert (row["parents"], row["after"]) == (drivers[0], STARTS[1])
    assert json.loads(file.read_bytes())["parents"] == positions | {drivers[0]: STARTS[1]}
    both, last = run(*one)
    assert (both["parents"], last["parents"]) == (2, drivers[1])
    assert (both["after"], last["after"]) == (STARTS[0], STARTS[1])
    file.unlink()
    run("cursor", "recover", "--stream", "driver_events", "--yes")
    assert json.loads(file.read_bytes()) == before
    run("cursor", "set", "--stream", "driver_events", "--until", STARTS[1], "--yes")
    assert set(json.loads(file.read_bytes())["parents"].values()) == {STARTS[1]}
    forward = ("cursor", "set", "--stream", "driver_events", "--until", STARTS[2], "--yes")
    code, said = refuse(*forward)
    assert (code, drivers[2] in said, drivers[0] in said) == (2, True, False)


def test_a_tenant_is_named_where_there_are_several(
    alvys: Simulator, land: Land, lake: Path, run: Run, refuse: Refuse
) -> None:
    land_days(land, tenant="acme")
    land_days(land, tenant="globex", days=2)
    rewind = ("cursor", "rewind", "--stream", "loads", "--by", "1d")
    code, said = refuse(*rewind)
    assert code == 2
    assert "tenant acme" in said
    assert "tenant globex" in said
    (row,) = run(*rewind, "--tenant", "globex")
    assert row["before"] == STARTS[1]
    shown = {row["tenant"]: row["cursor"] for row in run("cursor", "show")}
    (row,) = run(*rewind, "--cursor", shown["acme"])
    assert row["before"] == STARTS[2]
    code, said = refuse(*rewind, "--tenant", "globx")
    assert (code, "Did you mean globex?" in said) == (2, True)
    (lake / shown["globex"]).unlink()
    code, said = refuse("cursor", "recover", "--stream", "loads")
    assert (code, "--tenant" in said) == (2, True)
    (row,) = run("cursor", "recover", "--stream", "loads", "--tenant", "globex")
    assert row["after"] == STARTS[1]


def test_a_cursor_is_not_changed_while_a_run_has_not_finished(
    alvys: Simulator, land: Land, lake: Path, run: Run, refuse: Refuse
) -> None:
    land_days(land)
    alvys.order_faults({"kind": "status", "status": 500, "endpoint": "POST loads/search", "times": 50})
    with pytest.raises(AlvysServerError):
        land(in_run("late"), until=STARTS[3])
    rewind = ("cursor", "rewind", "--stream", "loads", "--by", "1d")
    assert run(*rewind)
    code, said = refuse(*rewind, "--yes")
    assert code == 1
    assert "has not finished" in said
    assert until(lake) == STARTS[2]
    run(*rewind, "--yes", "--force")
    assert until(lake) == STARTS[1]


def test_a_cursor_that_a_run_has_moved_meanwhile_is_not_overwritten(
    alvys: Simulator, land: Land, lake: Path, run: Run, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    land_days(land)

    def replace(*arguments: Any, **more: Any) -> None:
        land(until=STARTS[3])
        replace_cursor(*arguments, **more)

    monkeypatch.setattr("airflow_provider_alvys.cli.cursor.replace_cursor", replace)
    code, said = refuse("cursor", "rewind", "--stream", "loads", "--by", "1d", "--yes")
    assert code == 1
    assert "has changed meanwhile" in said
    assert until(lake) == STARTS[3]


def test_a_damaged_cursor_is_shown_and_changed_only_by_recover(
    alvys: Simulator, land: Land, lake: Path, run: Run, refuse: Refuse
) -> None:
    land_days(land)
    cursor_of(lake).write_text("{")
    (row,) = run("cursor", "show")
    assert "is damaged" in row["problem"]
    code, said = refuse("cursor", "rewind", "--stream", "loads", "--by", "1d", "--yes")
    assert (code, "cursor recover" in said) == (1, True)
    assert cursor_of(lake).read_text() == "{"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["rewind", "--stream", "loads"], 2, "either --by or --to"),
        (["rewind", "--stream", "loads", "--by", "1d", "--to", STARTS[0]], 2, "either --by or --to"),
        (["rewind", "--stream", "loads", "--by", "2 fortnights"], 2, "1w, 2d, 36h or 90m"),
        (["rewind", "--stream", "loads", "--by", "0d"], 2, "1w, 2d, 36h or 90m"),
        (["rewind", "--stream", "loads", "--by", "999999999999w"], 2, "too long"),
        (["rewind", "--stream", "loads", "--by", "9999w"], 2, "not a position"),
        (["rewind", "--stream", "loads", "--to", STARTS[3]], 2, "not before the cursor"),
        (["rewind", "--stream", "laods", "--by", "1d"], 2, "Did you mean loads?"),
        (["rewind", "--stream", "loads", "--by", "1d", "--parent", "D1"], 2, "leave out --parent"),
        (["set", "--stream", "loads", "--until", "yesterday"], 2, "until='yesterday'"),
        (["set", "--stream", "trips", "--until", STARTS[0]], 2, "no such cursor"),
        (["recover", "--stream", "trips"], 2, "no such cursor"),
        (["show", "--stream", "trips"], 2, "no trips"),
    ],
)
def test_a_wrong_argument_is_a_sentence(
    alvys: Simulator, land: Land, lake: Path, refuse: Refuse, arguments: list[str], code: int, says: str
) -> None:
    land_days(land, days=1)
    before = cursor_of(lake).read_bytes()
    exit, said = refuse("cursor", *arguments)
    assert exit == code
    assert says in said
    assert "Traceback" not in said
    assert cursor_of(lake).read_bytes() == before


@pytest.mark.parametrize(
    "block", block_params(checked_by="tests/cli/test_cursor.py::test_the_commands_of_the_docs_run")
)
def test_the_commands_of_the_docs_run(
    alvys: Simulator, land: Land, lake: Path, capsys: pytest.CaptureFixture[str], block: Block
) -> None:
    land_days(land)
    if "recover" in block.text:
        cursor_of(lake).unlink()
    for command in parse_commands(block.text):
        python, module, name, *arguments = shlex.split(command.replace("/data/alvys", str(lake)))
        assert (python, module, name) == ("python", "-m", "airflow_provider_alvys")
        main(arguments)
        assert STARTS[2] in capsys.readouterr().out
    assert until(lake) == (STARTS[2] if "recover" in block.text else STARTS[0])


def test_a_position_that_is_reached_is_not_written_again(
    alvys: Simulator, land: Land, lake: Path, run: Run
) -> None:
    land_days(land)
    before = cursor_of(lake).stat().st_mtime_ns
    (row,) = run("cursor", "recover", "--stream", "loads", "--yes")
    assert row["before"] == row["after"]
    assert cursor_of(lake).stat().st_mtime_ns == before
