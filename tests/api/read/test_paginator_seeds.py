"""Reads of changing sets with faults and kills: a read misses no remaining row, or it is not complete."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysResponseError
from airflow_provider_alvys.api.read.keyset import KeySet
from airflow_provider_alvys.api.read.paginator import Paginator, PaginatorState
from tests.paged_set import PagedSet

pytestmark = pytest.mark.slow

SEEDS = range(8)
ROWS, PAGE = 400, 20


def leave(count: int) -> Callable[[PagedSet], None]:
    return lambda source: source.leave(count)


def join(count: int, at: int | None) -> Callable[[PagedSet], None]:
    def change(source: PagedSet) -> None:
        for _ in range(count):
            source.join(len(source.rows) if at == -1 else at)

    return change


def both(count: int, at: int | None) -> Callable[[PagedSet], None]:
    def change(source: PagedSet) -> None:
        source.leave(count)
        join(count, at)(source)

    return change


def read_all(
    source: PagedSet, seed: int, *, closed: bool, kills: float, faults: bool
) -> tuple[list[str], Paginator, int]:
    """Read a set; after some pages the process dies, and another one resumes from the stored checkpoint."""
    chance = random.Random(f"{seed} kills")
    if faults:
        source.spurious_404s = set(chance.sample(range(2, 60), 4))
        source.cap = chance.choice([None, None, PAGE - 1])
    seen, state, killed = KeySet(), PaginatorState(page_size=PAGE, closed=closed), 0
    found: list[str] = []
    while True:
        paginator = Paginator(source.fetch, state, name="rows", seen=seen, list_changed=source.list_changed)
        for rows in paginator:
            found += [bytes(row).decode() for row in rows]
            if chance.random() < kills:
                killed += 1
                state = msgspec.json.decode(msgspec.json.encode(paginator.save()), type=PaginatorState)
                seen = KeySet(seen.dump())
                break
        else:
            return found, paginator, killed


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
def test_a_complete_read_misses_no_remaining_row(
    closed: bool, make: Callable[[int], Callable[[PagedSet], None]], rows: int, kills: float, faults: bool
) -> None:
    outcomes = []
    for seed in SEEDS:
        source = PagedSet(ROWS, change=make(rows), seed=seed)
        try:
            found, paginator, _ = read_all(source, seed, closed=closed, kills=kills, faults=faults)
        except (AlvysIncompleteError, AlvysResponseError):
            outcomes.append("error")
            assert closed or faults
            continue
        assert len(found) == len(set(found)), f"seed {seed}: a row was delivered twice"
        stayed = {row for row in source.rows if not row.startswith("joined-")}
        outcomes.append(paginator.proof)
        assert paginator.proof == "open" or stayed <= set(found), (
            f"seed {seed}: {len(stayed - set(found))} rows are missing"
        )
    assert len(outcomes) == len(SEEDS)


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_read_of_an_unchanged_set_requests_each_page_once(closed: bool, seed: int) -> None:
    source = PagedSet(ROWS)
    found, paginator, killed = read_all(source, seed, closed=closed, kills=0.3, faults=False)
    assert killed > 0
    assert sorted(found) == sorted(source.rows)
    assert (paginator.proof, paginator.state.passes, paginator.state.repeats) == ("whole", 1, 0)
    assert len(source.requests) == ROWS // PAGE + (not closed)


def test_repeats_are_counted_when_rows_move() -> None:
    counts = []
    for seed in SEEDS:
        source = PagedSet(ROWS, change=join(1, 0), seed=seed)
        _, paginator, _ = read_all(source, seed, closed=False, kills=0, faults=False)
        counts.append(paginator.state.repeats)
    assert min(counts) >= 0
    assert max(counts) > 0
