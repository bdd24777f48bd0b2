from __future__ import annotations

import random

import pytest

from airflow_provider_alvys.api.errors import AlvysIncompleteError, AlvysNotFoundError, AlvysResponseError
from airflow_provider_alvys.api.read.keyset import KeySet
from airflow_provider_alvys.api.read.page_decoder import Page
from airflow_provider_alvys.api.read.paginator import PageWalk, WalkState
from tests.shelf import Shelf

# Where hundreds of sets are walked: what counts is the number of pages, and a row of few costs less.
SMALL = 40


def walk(shelf: Shelf, *, closed: bool = True, page_size: int = 200) -> tuple[set[str], PageWalk]:
    state = WalkState(page_size=page_size, closed=closed)
    pages = PageWalk(shelf.fetch, state, name="rows", seen=KeySet(), changed=shelf.tell_changed)
    rows = [bytes(row).decode() for page in pages for row in page]
    assert len(set(rows)) == len(rows), "a row came twice"
    return set(rows), pages


def missed(shelf: Shelf) -> set[str]:
    """Return the rows that were there all the time and that a walk called whole did not see."""
    try:
        seen, _ = walk(shelf, page_size=SMALL)
    except AlvysIncompleteError:
        return set()
    return {row for row in shelf.rows if not row.startswith("joined-")} - seen


@pytest.mark.parametrize(
    ("rows", "requests"),
    [(0, 1), (1, 1), (199, 1), (200, 1), (201, 2), (400, 2), (5000, 25)],
)
def test_quiet_closed_set_costs_one_request_a_page(rows: int, requests: int) -> None:
    shelf = Shelf(rows)
    seen, pages = walk(shelf)
    assert seen == set(shelf.rows)
    assert len(shelf.requests) == requests
    assert (pages.proof, pages.state.passes, pages.state.total) == ("whole", 1, rows)


@pytest.mark.parametrize(("rows", "requests"), [(0, 1), (200, 1), (201, 3), (5000, 26)])
def test_other_quiet_set_costs_one_request_more_where_it_has_several_pages(rows: int, requests: int) -> None:
    shelf = Shelf(rows)
    seen, pages = walk(shelf, closed=False)
    assert seen == set(shelf.rows)
    assert len(shelf.requests) == requests
    assert pages.proof == "whole"


def test_the_last_page_is_read_before_the_first() -> None:
    shelf = Shelf(1000)
    walk(shelf)
    assert shelf.requests == [0, 4, 3, 2, 1]


@pytest.mark.parametrize("leaving", [1, 2, 10, 100])
def test_no_row_that_stays_is_missed_while_others_leave(leaving: int) -> None:
    for seed in range(25):
        shelf = Shelf(25 * SMALL, change=lambda shelf: shelf.leave(leaving), seed=seed)
        seen, pages = walk(shelf, page_size=SMALL)
        assert set(shelf.rows) <= seen
        assert pages.proof == "whole"


@pytest.mark.parametrize("leaving", [0, 1, 5])
def test_no_closed_set_that_misses_a_joined_row_is_called_whole(leaving: int) -> None:
    wholes = 0
    for seed in range(100):
        joins_at = random.Random(seed).randrange(1, 10)

        def change(shelf: Shelf, joins_at: int = joins_at) -> None:
            if len(shelf.requests) == joins_at:
                shelf.join()
            elif leaving:
                shelf.leave(leaving)

        shelf = Shelf(10 * SMALL, change=change, seed=seed)
        try:
            seen, _ = walk(shelf, page_size=SMALL)
        except AlvysIncompleteError:
            continue
        wholes += 1
        assert set(shelf.rows) <= seen
    # With one that joins and none that leave, the next pass is quiet. Where rows leave at every request, three may not do.
    assert leaving or wholes == 100


def test_a_closed_set_that_keeps_growing_is_an_error_that_names_the_numbers() -> None:
    shelf = Shelf(2000, change=lambda shelf: shelf.join(at=0))
    with pytest.raises(
        AlvysIncompleteError, match=r"rows: 3 passes .* of 20\d\d, and the total grew.*no cursor moved"
    ):
        walk(shelf)


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "other"])
def test_an_unstable_order_never_ends_as_whole_with_a_row_missing(closed: bool) -> None:
    for seed in range(100):
        shelf = Shelf(5 * SMALL, seed=seed)
        shelf.is_unstable = True
        try:
            seen, pages = walk(shelf, closed=closed, page_size=SMALL)
        except AlvysIncompleteError:
            continue
        assert pages.proof == "open" or seen == set(shelf.rows)


def test_rows_that_join_at_either_end_of_another_set_are_never_missed_in_a_whole_one() -> None:
    for seed in range(100):
        at_end = seed % 2

        def change(shelf: Shelf, at_end: int = at_end) -> None:
            if shelf.random.random() < 0.1:
                shelf.join(at=len(shelf.rows) if at_end else 0)

        shelf = Shelf(5 * SMALL, change=change, seed=seed)
        seen, pages = walk(shelf, closed=False, page_size=SMALL)
        assert pages.proof == "open" or set(shelf.rows) <= seen | {
            row for row in shelf.rows if row.startswith("joined-")
        }
        if pages.proof == "whole":
            # What joined after the last answer is no part of the set that was read.
            missed = set(shelf.rows) - seen
            assert all(row.startswith(f"joined-{len(shelf.requests)}-") for row in missed)


def test_another_set_that_keeps_moving_is_open_after_two_passes() -> None:
    shelf = Shelf(1000, change=lambda shelf: shelf.join(at=0))
    seen, pages = walk(shelf, closed=False)
    assert (pages.proof, pages.state.passes) == ("open", 2)
    assert {f"row-{number}" for number in range(1000)} <= seen


@pytest.mark.parametrize("seed", range(0, 100, 10))
def test_a_spurious_404_inside_the_set_is_asked_again(seed: int) -> None:
    shelf = Shelf(2000, seed=seed)
    shelf.spurious_404s = {2 + seed % 9}
    seen, pages = walk(shelf)
    assert seen == set(shelf.rows)
    assert pages.proof == "whole"


def test_a_page_that_stays_missing_is_an_error() -> None:
    shelf = Shelf(2000)
    shelf.spurious_404s = set(range(2, 100, 2))
    with pytest.raises(
        AlvysResponseError, match="page 9 was missing 3 times although there are 2000 rows. Run it again"
    ):
        walk(shelf)


def test_a_404_on_the_first_page_is_an_error() -> None:
    shelf = Shelf(2000)
    shelf.spurious_404s = {1}
    with pytest.raises(AlvysNotFoundError):
        walk(shelf)


def test_a_404_past_the_end_of_a_set_that_shrank_is_its_end() -> None:
    def shrink(shelf: Shelf) -> None:
        if len(shelf.requests) == 1:
            shelf.leave(1100)

    shelf = Shelf(2000, change=shrink)
    seen, pages = walk(shelf)
    assert set(shelf.rows) <= seen
    # Page 9 is gone; page 0 tells the new total; then page 4 down to 1, page 0 again, and who left, between two equal totals.
    assert shelf.requests == [0, 9, 0, 4, 3, 2, 1, 0, "changed", 0]
    assert (pages.proof, pages.state.passes) == ("whole", 1)


def test_rows_that_leave_now_and_then_cost_three_requests_more() -> None:
    def leave(shelf: Shelf) -> None:
        if len(shelf.requests) in (3, 7):
            shelf.leave(5)

    shelf = Shelf(2000, change=leave)
    seen, pages = walk(shelf)
    assert set(shelf.rows) <= seen
    assert shelf.requests == [0, *range(9, 0, -1), 0, "changed", 0]
    assert (pages.proof, pages.state.passes) == ("whole", 1)


def test_rows_that_leave_all_the_time_cost_two_more_passes() -> None:
    shelf = Shelf(2000, change=lambda shelf: shelf.leave(1))
    seen, pages = walk(shelf)
    assert set(shelf.rows) <= seen
    assert (pages.proof, pages.state.passes) == ("whole", 3)


def test_a_row_that_left_without_a_name_cannot_hide_one_that_joined() -> None:
    def change(shelf: Shelf) -> None:
        if len(shelf.requests) == 3:
            # Two rows that were seen are gone for good, and one joins on a page that has been read: the total falls by one.
            del shelf.rows[5:7]
            shelf.join(at=len(shelf.rows))

    shelf = Shelf(1000, change=change)
    seen, pages = walk(shelf)
    assert set(shelf.rows) <= seen
    assert (pages.proof, pages.state.passes) == ("whole", 2)


def test_rows_that_left_without_a_name_hide_none_that_stayed() -> None:
    for seed in range(200):

        def change(shelf: Shelf) -> None:
            if shelf.random.random() < 0.3:
                shelf.rows.remove(shelf.random.choice(shelf.rows))
            elif shelf.random.random() < 0.05:
                shelf.join()

        assert not missed(Shelf(10 * SMALL, change=change, seed=seed))


@pytest.mark.parametrize(("leaving", "joining"), [(1, 1), (5, 1), (5, 5), (50, 1)])
def test_rows_that_join_behind_others_that_leave_are_noticed(leaving: int, joining: int) -> None:
    for seed in range(100):

        def change(shelf: Shelf) -> None:
            if shelf.random.random() < 0.2:
                shelf.leave(leaving)
                for _ in range(joining):
                    shelf.join()

        if missed(Shelf(10 * SMALL, change=change, seed=seed)):
            # Only where the total never moved can rows still hide one another: that costs another read of every quiet set.
            assert leaving == joining


@pytest.mark.parametrize("silent", [False, True], ids=["announced", "silent"])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "other"])
def test_a_smaller_page_size_than_asked_starts_the_walk_again_at_that_size(
    silent: bool, closed: bool
) -> None:
    shelf = Shelf(1000)
    shelf.cap, shelf.cap_is_silent = 100, silent
    seen, pages = walk(shelf, closed=closed)
    assert seen == set(shelf.rows)
    assert pages.state.page_size == 100
    assert len(shelf.requests) == (11 if closed else 12)
    assert pages.state.passes == 1


@pytest.mark.parametrize("silent", [False, True], ids=["announced", "silent"])
@pytest.mark.parametrize("cut_after", range(1, 6))
def test_a_page_size_cut_in_mid_walk_loses_nothing(silent: bool, cut_after: int) -> None:
    def cut(shelf: Shelf) -> None:
        if len(shelf.requests) == cut_after:
            shelf.cap = 100

    shelf = Shelf(1000, change=cut)
    shelf.cap_is_silent = silent
    seen, pages = walk(shelf)
    assert seen == set(shelf.rows)
    assert pages.proof == "whole"


def test_a_last_page_that_claims_a_smaller_size_is_only_a_last_page() -> None:
    shelf = Shelf(450)

    def fetch(number: int, size: int) -> Page:
        page = shelf.fetch(number, size)
        page.size = len(page.rows)
        return page

    pages = PageWalk(fetch, WalkState(page_size=200, closed=True), name="rows", seen=KeySet())
    assert sum(len(page) for page in pages) == 450
    assert len(shelf.requests) == 3


def test_the_same_page_twice_while_the_total_held_is_an_error() -> None:
    def fetch(number: int, size: int) -> Page:
        keys = [(f"row-{row}",) for row in range(200)]
        return Page(800, number, 200, [b"{}" for _ in keys], keys)

    with pytest.raises(AlvysResponseError, match="the rows of page 0 as page 3"):
        list(PageWalk(fetch, WalkState(page_size=200, closed=True), name="loads", seen=KeySet()))


def test_a_stray_404_on_a_later_look_at_page_0_is_asked_again() -> None:
    shelf = Shelf(1000)
    shelf.spurious_404s = {6}
    seen, _ = walk(shelf, closed=False)
    assert seen == set(shelf.rows)
    assert shelf.requests == [0, 4, 3, 2, 1, 0, 0]
    shelf.spurious_404s = set(range(13, 99))
    with pytest.raises(AlvysResponseError, match="page 0 was missing 3 times"):
        walk(shelf, closed=False)


def test_one_page_with_a_key_twice_is_not_called_whole() -> None:
    def fetch(number: int, size: int) -> Page:
        return Page(3, number, 200, [b"1", b"2", b"3"], [("x",), ("x",), ("y",)])

    pages = PageWalk(fetch, WalkState(page_size=200, closed=False), name="rows", seen=KeySet())
    assert sum(len(rows) for rows in pages) == 2
    assert pages.proof == "open"
    with pytest.raises(AlvysIncompleteError, match="2 different rows of 3"):
        list(PageWalk(fetch, WalkState(page_size=200, closed=True), name="rows", seen=KeySet()))


def test_a_page_size_that_has_settled_is_good_for_the_next_try() -> None:
    sizes = iter(range(199, 100, -10))

    def shrink(shelf: Shelf) -> None:
        shelf.cap = next(sizes)

    shelf = Shelf(1000, change=shrink)
    state = WalkState(page_size=200, closed=True)
    with pytest.raises(AlvysResponseError, match="changed the page size 6 times"):
        list(PageWalk(shelf.fetch, state, name="rows", seen=KeySet()))
    settled = Shelf(1000)
    settled.cap = shelf.cap
    pages = PageWalk(settled.fetch, state, name="rows", seen=KeySet())
    assert len([row for page in pages for row in page]) == 1000
    assert pages.proof == "whole"
