"""Every hole in the tables is found, named and repaired, and changes of Alvys are not taken for holes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests.checks.holes import KINDS, change_company, punch
from tests.checks.reconciled import checks, reconcile, repair, sync_and_load
from tests.lake import manifests, read_lines
from tests.tables.databases import Db

# What differs between two loads of the same content.
METADATA = ("_hash", "_read_at", "_loaded_at", "_changed_at", "_missed_at", "_missing_since", "_manifest")
ALL = 10_000


def check_holes(alvys: Simulator, db: Db, lake: Path, seeds: range) -> None:
    """Punch, reconcile, repair and reconcile again, once for each seed."""
    sync_and_load(lake)
    whole = list(db.dump(METADATA)["loads"])
    for seed in seeds:
        rng = random.Random(seed)
        hole = punch(db, KINDS[seed % len(KINDS)], rng)
        before = set(manifests(lake))
        result = reconcile(sql_conn_id="sql", path=str(lake), sample=ALL, run_id=f"run {seed}")
        assert result["verdict"] == "differs", (seed, hole)
        named = " ".join(check["scope"] for check in checks(db, "differs"))
        assert [key for key in hole.keys if f"row {key}" not in named] == [], (seed, hole)
        repair(lake, result)
        landed = b"".join(line for path in set(manifests(lake)) - before for line in read_lines(path))
        assert [key for key in hole.keys if key.encode() not in landed] == [], (seed, hole)
        assert db.dump(METADATA)["loads"] == whole, (seed, hole)
        again = reconcile(sql_conn_id="sql", path=str(lake), sample=ALL, run_id=f"again {seed}")
        assert (again["verdict"], again["repairs"]) == ("same", []), (seed, hole)
        db.query("DELETE FROM _alvys_checks")


def check_quiet(alvys: Simulator, db: Db, lake: Path, seeds: range) -> None:
    """Reconcile while rows change, after a sync and before the next."""
    sync_and_load(lake)
    for seed in seeds:
        rng = random.Random(seed)
        change_company(alvys, rng)
        if rng.random() < 0.3:
            sync_and_load(lake, settling=0)
            change_company(alvys, rng)
        result = reconcile(sql_conn_id="sql", path=str(lake), sample=ALL)
        assert (result["differences"], result["repairs"]) == ([], []), seed


def test_holes_are_found_named_and_repaired(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=150, days=300)
    check_holes(alvys, sqlite, lake, range(12))


def test_changes_are_not_holes(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=100, days=200)
    check_quiet(alvys, sqlite, lake, range(10))


@pytest.mark.large
def test_a_hundred_holes_are_found_named_and_repaired(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=400, days=900)
    check_holes(alvys, sqlite, lake, range(100))


@pytest.mark.large
def test_changes_are_not_holes_in_a_hundred_cases(alvys: Simulator, sqlite: Db, lake: Path) -> None:
    alvys.reset(loads=400, days=900)
    check_quiet(alvys, sqlite, lake, range(100))
