"""The walk over sets that move, through faults and kills, seed by seed: it misses no row that stayed, or says so."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysResponseError
from airflow_provider_alvys.api.read.keyset import KeySet
from airflow_provider_alvys.api.read.paginator import PageWalk, WalkState
from tests.shelf import Shelf

SEEDS = range(8)
ROWS, PAGE = 400, 20


def leave(count: int) -> Callable[[Shelf], None]:
    return lambda shelf: shelf.leave(count)


def join(count: int, at: int | None) -> Callable[[Shelf], None]:
    def change(shelf: Shelf) -> None:
        for _ in range(count):
            shelf.join(len(shelf.rows) if at == -1 else at)

    return change


def both(count: int, at: int | None) -> Callable[[Shelf], None]:
    def change(shelf: Shelf) -> None:
        shelf.leave(count)
        join(count, at)(shelf)

    return change


def walk(
    shelf: Shelf, seed: int, *, closed: bool, kills: float, faults: bool
) -> tuple[list[str], PageWalk, int]:
    """Walk; after some pages the process is killed, and another one goes on from what was saved, as files keep it."""
    chance = random.Random(f"{seed} kills")
    if faults:
        shelf.spurious_404s = set(chance.sample(range(2, 60), 4))
        shelf.cap = chance.choice([None, None, PAGE - 1])
    seen, state, killed = KeySet(), WalkState(page_size=PAGE, closed=closed), 0
    found: list[str] = []
    while True:
        pages = PageWalk(shelf.fetch, state, name="rows", seen=seen, changed=shelf.tell_changed)
        for rows in pages:
            found += [bytes(row).decode() for row in rows]
            if chance.random() < kills:
                killed += 1
                state = msgspec.json.decode(msgspec.json.encode(pages.save()), type=WalkState)
                seen = KeySet(seen.dump())
                break
        else:
            return found, pages, killed


@pytest.mark.parametrize("faults", [False, True], ids=["", "faults"])
@pytest.mark.parametrize("kills", [0, 0.15], ids=["", "kills"])
@pytest.mark.parametrize("rows", [1, 2, 10])
@pytest.mark.parametrize(
    ("closed", "make"),
    [
        pytest.param(True, leave, id="closed, rows leave"),
        pytest.param(True, lambda rows: join(rows, None), id="closed, rows join anywhere"),
        pytest.param(True, lambda rows: both(rows, None), id="closed, rows leave and join anywhere"),
        pytest.param(False, leave, id="open, rows leave"),
        pytest.param(False, lambda rows: join(rows, 0), id="open, rows join in front"),
        pytest.param(False, lambda rows: join(rows, -1), id="open, rows join behind"),
        pytest.param(False, lambda rows: both(rows, -1), id="open, rows leave and join behind"),
    ],
)
def test_no_row_that_stayed_is_missed_by_a_walk_that_says_whole(
    closed: bool, make: Callable[[int], Callable[[Shelf], None]], rows: int, kills: float, faults: bool
) -> None:
    outcomes = []
    for seed in SEEDS:
        shelf = Shelf(ROWS, change=make(rows), seed=seed)
        try:
            found, pages, _ = walk(shelf, seed, closed=closed, kills=kills, faults=faults)
        except (AlvysIncompleteError, AlvysResponseError):
            outcomes.append("error")
            assert closed or faults
            continue
        assert len(found) == len(set(found)), f"seed {seed}: a row was delivered twice"
        stayed = {row for row in shelf.rows if not row.startswith("joined-")}
        outcomes.append(pages.proof)
        assert pages.proof == "open" or stayed <= set(found), (
            f"seed {seed}: {len(stayed - set(found))} rows are missing"
        )
    assert len(outcomes) == len(SEEDS)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_in_a_quiet_set_a_walk_that_is_killed_reads_each_page_once(closed: bool, seed: int) -> None:
    shelf = Shelf(ROWS)
    found, pages, killed = walk(shelf, seed, closed=closed, kills=0.3, faults=False)
    assert killed > 0
    assert sorted(found) == sorted(shelf.rows)
    assert (pages.proof, pages.state.passes, pages.state.repeats) == ("whole", 1, 0)
    assert len(shelf.requests) == ROWS // PAGE + (not closed)


def test_repeats_are_counted_where_rows_move() -> None:
    counts = []
    for seed in SEEDS:
        shelf = Shelf(ROWS, change=join(1, 0), seed=seed)
        _, pages, _ = walk(shelf, seed, closed=False, kills=0, faults=False)
        counts.append(pages.state.repeats)
    assert min(counts) >= 0
    assert max(counts) > 0
