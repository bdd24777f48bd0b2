"""The checks of the chaos run can fail: each lie about what was landed is found out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.chaos.checks.monitor import Witness
from tests.chaos.rounds.plan import KINDS, Plans
from tests.conftest import Land

Part = Callable[[list[bytes]], list[bytes]]


@pytest.fixture
def alvys(alvys: Simulator) -> Simulator:
    alvys.reset(loads=60, now=time.time() - 3600)
    return alvys


@pytest.fixture
def witness(alvys: Simulator, lake: Path) -> Witness:
    witness = Witness(alvys, lake, ("loads",))
    witness.look()
    return witness


def forge(manifest_file: str, change: Part, **claims: Any) -> None:
    """Change the rows of a run's only part, so that the manifest agrees with them."""
    path = Path(manifest_file)
    manifest = json.loads(path.read_bytes())
    (part,) = manifest["parts"]
    rows = change((path.parent / part["name"]).read_bytes().splitlines())
    content = b"".join(row + b"\n" for row in rows)
    (path.parent / part["name"]).write_bytes(content)
    part |= {"rows": len(rows), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_text(json.dumps({**manifest, "rows": len(rows), **claims}))


def test_what_is_landed_well_is_not_blamed(land: Land, witness: Witness, alvys: Simulator) -> None:
    land(settling=0)
    alvys.change(rows=5)
    alvys.add(rows=2)
    witness.look()
    # The Date header, by which a window ends, tells whole seconds.
    time.sleep(1.1)
    land(settling=0)
    account = witness.conclude()["loads"]
    assert (witness.problems, witness.lost["loads"], account.wrong) == ([], 0, 0)
    assert sum(landed.least_requests(20) for landed in witness.landed) == 3 + 1


LIES = [
    pytest.param(lambda rows: rows[1:], {}, "misses 1 rows that stayed", id="a row is missing"),
    pytest.param(lambda rows: [*rows, rows[0]], {}, "1 rows came more than once", id="a row comes twice"),
    pytest.param(
        lambda rows: [rows[0].replace(b'"', b' "', 1), *rows[1:]], {}, "misses 1 rows", id="a byte differs"
    ),
    pytest.param(
        lambda rows: [*rows, rows[0].replace(b'"Id":"', b'"Id":"x')],
        {},
        "1 rows never were true",
        id="a row is invented",
    ),
    pytest.param(
        lambda rows: rows[1:], {"proof": "open"}, "1 rows are missing", id="a row is missing in the end"
    ),
]


@pytest.mark.parametrize(("change", "claims", "problem"), LIES)
def test_a_lie_is_found_out(
    land: Land, witness: Witness, change: Part, claims: dict[str, Any], problem: str
) -> None:
    forge(land(settling=0)["manifest"], change, **claims)
    witness.conclude()
    assert any(problem in found for found in witness.problems), witness.problems


def test_a_part_that_is_not_what_the_manifest_says_is_found_out(land: Land, witness: Witness) -> None:
    folder = Path(land(settling=0)["manifest"]).parent
    (part,) = folder.glob("part-*")
    part.write_bytes(part.read_bytes()[:-1])
    (folder / "part-00001.jsonl").write_bytes(b"{}\n")
    witness.look()
    assert any("not the bytes" in problem for problem in witness.problems)
    assert any("part-00001.jsonl, which it does not list" in problem for problem in witness.problems)


def test_a_row_that_is_changed_and_never_landed_again_is_found_out(
    land: Land, witness: Witness, alvys: Simulator
) -> None:
    land(settling=0)
    alvys.change(rows=1)
    account = witness.conclude()["loads"]
    assert len(account.stale) == 1
    assert any("1 are stale" in problem for problem in witness.problems)


@pytest.mark.parametrize(
    ("days", "lost"), [pytest.param(3, 1, id="recent"), pytest.param(200, 0, id="beyond its reach")]
)
def test_a_late_row_is_owed_as_far_as_the_last_run_looks_back(
    land: Land, alvys: Simulator, lake: Path, days: int, lost: int
) -> None:
    witness = Witness(alvys, lake, ("invoices",))
    witness.look()
    land(stream="invoices", settling=0, initial_since="2020-01-01T00:00:00Z")
    date = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - days * 86400))
    manifest = land(stream="invoices", settling=0)["manifest"]
    dates = {"InvoicedDate": date, "LastSendDate": date, "PaidDate": date}
    alvys.add(stream="invoices", columns={"Status": "Paid", **dates})
    assert Path(manifest).exists()
    assert len(witness.conclude()["invoices"].lost) == lost
    assert witness.out_of_reach == 1 - lost


def test_a_seed_orders_the_same_things_at_the_same_moments() -> None:
    def plans(seed: int) -> list[Any]:
        plans = Plans(seed)
        return [plans.single() if number % 2 else plans.storm() for number in range(20)]

    assert plans(7) == plans(7)
    assert plans(7) != plans(8)


def test_twenty_rounds_have_each_kind_of_trouble_alone() -> None:
    plans = Plans(3)
    alone = {kind for _ in range(9) for kind in plans.single().alone.values()}
    assert set(KINDS) <= alone
