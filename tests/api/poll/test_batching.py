from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.errors import (
    AlvysAuthError,
    AlvysConnectionError,
    AlvysRateLimitError,
    AlvysServerError,
    AlvysValidationError,
)
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.http.retries import RetryRules
from airflow_provider_alvys.api.poll.batching import Poller, TooManyRowsError, non_blocking_options
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import SkippingClock, make_client

LOADS = Endpoint("POST", "loads/search")


@dataclass(frozen=True)
class Statuses:
    """The statuses of loads."""

    max_items: int = 150
    page_size: int = 200

    @property
    def endpoint(self) -> Endpoint:
        return LOADS

    def make_job(self, items: Sequence[str]) -> OneRequest:
        return OneRequest(list(items), self.page_size)


@dataclass
class OneRequest:
    items: list[str]
    page_size: int

    def step(self, client: AlvysClient) -> list[str | None]:
        assert threading.current_thread() is not threading.main_thread()
        body = {"Page": 0, "PageSize": self.page_size, "LoadNumbers": self.items, "IncludeDeleted": False}
        page = client.request("POST", "loads/search", json=body).json()
        if page["Total"] > len(page["Items"]) and len(self.items) > 1:
            raise TooManyRowsError("The page is full.")
        found = {row["LoadNumber"]: row["Status"] for row in page["Items"]}
        return [found.get(item) for item in self.items]


class Waits:
    """What a coroutine waits for, which nobody does: the clock goes on, and so does everybody who is ready."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[float] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.clock.sleep(seconds)
        self.meanwhile()
        for _ in range(5):
            await asyncio.sleep(0)


@dataclass
class Desk:
    """A poller, its clients and its waits."""

    alvys: Simulator
    clock: Clock
    options: dict[str, Any] = field(default_factory=dict)
    rules: RetryRules | None = None
    sleep: Callable[[float], Awaitable[None]] | None = None
    batch_delay: float = 0.5
    clients: list[AlvysClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waits = Waits(self.clock)

    async def connect(self) -> AlvysClient:
        options = {**non_blocking_options(self.clock), **self.options}
        self.clients.append(make_client(self.alvys, **options))
        return self.clients[-1]

    def run(self, work: Callable[[Poller], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            sleep = self.sleep or self.waits
            poller = Poller(
                self.connect, sleep=sleep, clock=self.clock, rules=self.rules, batch_delay=self.batch_delay
            )
            try:
                return await asyncio.wait_for(work(poller), 60)
            finally:
                await poller.close()

        return asyncio.run(run())

    def ask(self, items: Sequence[str], query: Any = None) -> list[Any]:
        """Ask for all of these at once, and return answers and errors."""
        query = query or Statuses()
        return list(
            self.run(
                lambda poller: asyncio.gather(
                    *(poller.poll(query, item) for item in items), return_exceptions=True
                )
            )
        )


@pytest.fixture
def desk(alvys: Simulator, clock: SkippingClock) -> Desk:
    return Desk(alvys, clock)


@pytest.fixture
def truth(alvys: Simulator) -> dict[str, str]:
    rows = [json.loads(row) for row in alvys.truth_rows()]
    return {row["LoadNumber"]: row["Status"] for row in rows if not row["IsDeleted"]}


def searches(alvys: Simulator) -> int:
    return int(alvys.stats()["requests"].get("POST loads/search", 0))


def test_five_hundred_questions_cost_four_requests(
    alvys: Simulator, desk: Desk, truth: dict[str, str]
) -> None:
    numbers = [*truth, *(f"none-{i}" for i in range(500 - len(truth)))]
    assert desk.ask(numbers) == [truth.get(number) for number in numbers]
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 4}
    # They gathered once; nothing else was waited for.
    assert desk.waits.asked == [0.5]


def test_the_same_question_of_many_is_one(alvys: Simulator, desk: Desk, truth: dict[str, str]) -> None:
    number = next(iter(truth))
    assert desk.ask([number] * 400) == [truth[number]] * 400
    assert searches(alvys) == 1


def test_the_documented_pace_is_kept_and_no_429_is_met(alvys: Simulator) -> None:
    # A minute of a quarter of a second.
    alvys.reset(loads=1, limits=True, minute=0.25)
    desk = Desk(
        alvys, SYSTEM_CLOCK, options={"requests_per_minute": 2400}, sleep=asyncio.sleep, batch_delay=0.0
    )
    assert desk.ask([f"none-{i}" for i in range(25)], Statuses(max_items=1)) == [None] * 25
    stats = alvys.stats()
    assert (stats["requests"]["POST loads/search"], stats["rate_limited"]) == (25, 0)


def test_it_waits_for_its_turn_in_the_coroutine(desk: Desk, alvys: Simulator) -> None:
    desk.options["requests_per_minute"] = None
    assert desk.ask([f"none-{i}" for i in range(12)], Statuses(max_items=1)) == [None] * 12
    (turn,) = [wait for wait in desk.waits.asked if wait > 1]
    assert 55 < turn < 62


def test_what_is_asked_while_it_waits_for_its_turn_comes_along(desk: Desk, alvys: Simulator) -> None:
    desk.options["requests_per_minute"] = 1

    async def work(poller: Poller) -> None:
        await poller.poll(Statuses(), "none")
        late: list[asyncio.Task[Any]] = []

        def ask_late() -> None:
            late.append(asyncio.ensure_future(poller.poll(Statuses(), "none-too")))

        # The turn of the second is a minute later; a third comes meanwhile.
        desk.waits.meanwhile = ask_late
        await poller.poll(Statuses(), "none-either")
        await asyncio.gather(*late)

    desk.run(work)
    assert searches(alvys) == 2


def test_who_is_cancelled_stops_nobody_else(desk: Desk, alvys: Simulator, truth: dict[str, str]) -> None:
    number, other = list(truth)[:2]

    async def work(poller: Poller) -> Any:
        first, second, third = (
            asyncio.ensure_future(poller.poll(Statuses(), item)) for item in (number, number, other)
        )
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.gather(first, second, third, return_exceptions=True)

    cancelled, *answers = desk.run(work)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert answers == [truth[number], truth[other]]


def test_what_nobody_waits_for_any_more_is_not_asked_for(desk: Desk, alvys: Simulator) -> None:
    async def work(poller: Poller) -> None:
        asked = asyncio.ensure_future(poller.poll(Statuses(), "none"))
        await asyncio.sleep(0)
        asked.cancel()
        for _ in range(20):
            await asyncio.sleep(0)

    desk.run(work)
    assert alvys.stats()["requests"] == {}


def test_nor_is_it_asked_for_again_after_a_failure(desk: Desk, alvys: Simulator) -> None:
    alvys.order_faults({"kind": "status", "status": 500})
    query = Statuses(max_items=1)

    async def work(poller: Poller) -> None:
        asked = asyncio.ensure_future(poller.poll(query, "none"))
        await asyncio.sleep(0)
        # While it waits for its second try.
        desk.waits.meanwhile = lambda: len(desk.waits.asked) > 1 and asked.cancel()
        await asyncio.wait([asked])
        await poller.poll(query, "none-either")

    desk.run(work)
    assert searches(alvys) == 2


def test_a_refused_item_alone_gets_the_error(desk: Desk, alvys: Simulator, truth: dict[str, str]) -> None:
    numbers = list(truth)[:100]
    numbers[37] = ""  # Alvys takes no empty number.
    answers = desk.ask(numbers, Picky())
    assert isinstance(answers.pop(37), AlvysValidationError)
    assert answers == [truth[number] for number in numbers if number]
    # Down a tree of halves: each step asks for both.
    assert searches(alvys) <= 15


@dataclass(frozen=True)
class Picky(Statuses):
    """Refused for an empty number, whatever else is asked for."""

    def make_job(self, items: Sequence[str]) -> OneRequest:
        return (
            Refused(list(items), self.page_size) if "" in items else OneRequest(list(items), self.page_size)
        )


class Refused(OneRequest):
    def step(self, client: AlvysClient) -> list[str | None]:
        client.request("POST", "loads/search", json={"Page": 0, "PageSize": 1})
        raise AssertionError("Without one of its filters Alvys refuses it")


def test_nobody_joins_those_among_whom_one_is_to_blame(
    desk: Desk, alvys: Simulator, truth: dict[str, str]
) -> None:
    desk.options["requests_per_minute"] = 1
    number, other = list(truth)[:2]

    async def work(poller: Poller) -> Any:
        late: list[asyncio.Task[Any]] = []

        def join() -> None:
            # It waits for its turn to ask for the halves.
            if len(desk.waits.asked) == 2:
                late.append(asyncio.ensure_future(poller.poll(Picky(), other)))

        desk.waits.meanwhile = join
        first = await asyncio.gather(
            *(poller.poll(Picky(), item) for item in ("", number)), return_exceptions=True
        )
        return first, await asyncio.gather(*late)

    (error, answer), late = desk.run(work)
    assert isinstance(error, AlvysValidationError)
    assert (answer, late) == (truth[number], [truth[other]])
    # Both, each alone, and who came late.
    assert searches(alvys) == 4


def test_a_batch_of_more_rows_than_a_page_is_halved(
    desk: Desk, alvys: Simulator, truth: dict[str, str]
) -> None:
    numbers = list(truth)[:40]
    assert desk.ask(numbers, Statuses(page_size=10)) == [truth[number] for number in numbers]
    assert searches(alvys) == 7


def test_a_failure_that_may_pass_is_tried_again(desk: Desk, alvys: Simulator, truth: dict[str, str]) -> None:
    number = next(iter(truth))
    alvys.order_faults(
        {"kind": "status", "status": 500},
        {"kind": "truncate"},
        {"kind": "status", "status": 500, "endpoint": "POST token"},
    )
    assert desk.ask([number]) == [truth[number]]
    assert alvys.stats()["requests"] == {"POST token": 2, "POST loads/search": 3}
    assert len(desk.waits.asked) == 4


def test_all_who_asked_get_the_error_when_the_rules_give_up(desk: Desk, alvys: Simulator) -> None:
    alvys.order_faults({"kind": "status", "status": 500, "times": 99})
    desk.rules = RetryRules(attempts=3)
    errors = desk.ask(["none", "none-either"])
    assert [type(error) for error in errors] == [AlvysServerError] * 2
    assert searches(alvys) == 3


def test_retry_after_is_waited_for_and_a_second_429_waits_the_documented_block(
    desk: Desk, alvys: Simulator
) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "body": "html", "retry_after": "7", "times": 2})
    desk.options["requests_per_minute"] = None
    assert desk.ask(["none"]) == [None]
    _, first, second = (wait for wait in desk.waits.asked if wait >= 0.5)
    assert 7 <= first < 8
    assert 180 <= second < 181


def test_nor_is_the_block_forgotten_between_two_questions(desk: Desk, alvys: Simulator) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": "1", "times": 3})
    desk.options["requests_per_minute"] = None
    desk.rules = RetryRules(attempts=1)

    async def work(poller: Poller) -> None:
        for _ in range(2):
            with pytest.raises(AlvysRateLimitError):
                await poller.poll(Statuses(), "none")
        poller._rules = RetryRules(attempts=2)
        assert await poller.poll(Statuses(), "none") is None

    desk.run(work)
    assert 180 <= max(desk.waits.asked) < 181


def test_a_longer_wait_than_the_rules_allow_is_an_error_and_is_waited_for_all_the_same(
    desk: Desk, alvys: Simulator
) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": "1000"})

    async def work(poller: Poller) -> None:
        with pytest.raises(AlvysRateLimitError):
            await poller.poll(Statuses(), "none")
        assert len(desk.waits.asked) == 1
        assert await poller.poll(Statuses(), "none") is None

    desk.run(work)
    assert max(desk.waits.asked) == pytest.approx(1000, abs=1)


def test_lines_do_not_wait_for_each_other(desk: Desk, alvys: Simulator, truth: dict[str, str]) -> None:
    number = next(iter(truth))
    is_free = asyncio.Event()

    async def sleep(seconds: float) -> None:
        # The failure of trips is waited for until loads have been answered.
        if seconds > 0.6:
            await is_free.wait()

    desk.sleep = sleep
    alvys.order_faults(
        {"kind": "status", "status": 429, "retry_after": "30", "endpoint": "POST trips/search"}
    )

    async def work(poller: Poller) -> None:
        trips = asyncio.ensure_future(poller.poll(Trips(), "none"))
        while not alvys.stats()["requests"].get("POST trips/search"):
            await asyncio.sleep(0.01)
        assert await poller.poll(Statuses(), number) == truth[number]
        assert not trips.done()
        is_free.set()
        assert await trips == 0

    desk.run(work)


@dataclass(frozen=True)
class Trips:
    """How many trips have a number."""

    max_items: int = 1
    endpoint: Endpoint = Endpoint("POST", "trips/search")  # noqa: RUF009

    def make_job(self, items: Sequence[str]) -> CountTrips:
        return CountTrips(items)


@dataclass
class CountTrips:
    items: Sequence[str]

    def step(self, client: AlvysClient) -> list[int]:
        body = {"Page": 0, "PageSize": 1, "TripNumbers": list(self.items), "IncludeDeleted": False}
        return [client.request("POST", "trips/search", json=body).json()["Total"]]


def test_a_job_of_several_requests_goes_on_from_where_it_was(desk: Desk, alvys: Simulator) -> None:
    desk.options["requests_per_minute"] = None
    alvys.order_faults({"kind": "status", "status": 500, "skip": 3})
    assert desk.ask(["14"], Walk()) == [list(range(14))]
    assert searches(alvys) == 15
    assert any(wait > 50 for wait in desk.waits.asked)


@dataclass(frozen=True)
class Walk:
    """So many pages, the numbers of which are the answer."""

    max_items: int = 1
    endpoint: Endpoint = LOADS

    def make_job(self, items: Sequence[str]) -> Pages:
        return Pages(int(items[0]))


@dataclass
class Pages:
    pages: int
    read: list[int] = field(default_factory=list)

    def step(self, client: AlvysClient) -> list[list[int]] | None:
        body = {"Page": len(self.read), "PageSize": 1, "Status": ["Open"], "IncludeDeleted": True}
        client.request("POST", "loads/search", json=body)
        self.read.append(len(self.read))
        return [self.read] if len(self.read) == self.pages else None


def test_new_credentials_are_picked_up(desk: Desk, alvys: Simulator) -> None:
    async def work(poller: Poller) -> None:
        assert await poller.poll(Statuses(), "none") is None
        alvys.reset(loads=1, client_secret="rotated")
        assert await poller.poll(Statuses(), "none") is None

    desk.run(work)
    assert len(desk.clients) == 2


@pytest.mark.parametrize("rate", [0, None])
def test_refused_credentials_are_an_error_after_one_more_look_at_the_connection(
    desk: Desk, alvys: Simulator, rate: float | None
) -> None:
    # Answered under a rule that wants a second between two requests.
    desk.options["requests_per_minute"] = rate
    alvys.order_faults({"kind": "status", "status": 401, "endpoint": "GET loads/{id}/documents", "times": 99})
    (error,) = desk.ask(["1"], Documents())
    assert isinstance(error, AlvysAuthError)
    assert alvys.stats()["requests"]["GET loads/{id}/documents"] == 2
    assert len(desk.clients) == 1


@dataclass(frozen=True)
class Documents:
    """The documents of a load."""

    max_items: int = 1
    endpoint: Endpoint = Endpoint("GET", "loads/{id}/documents")  # noqa: RUF009

    def make_job(self, items: Sequence[str]) -> GetDocuments:
        return GetDocuments(items[0])


@dataclass
class GetDocuments:
    item: str

    def step(self, client: AlvysClient) -> list[Any]:
        return [client.request("GET", f"loads/{self.item}/documents").json()]


def test_after_a_failed_connection_the_connection_is_looked_up_again(desk: Desk, alvys: Simulator) -> None:
    alvys.order_faults({"kind": "reset"})
    assert desk.ask(["none"]) == [None]
    assert len(desk.clients) == 2


def test_a_connection_that_cannot_be_had_is_everybodys_error(desk: Desk) -> None:
    async def connect() -> AlvysClient:
        raise LookupError("no such connection")

    desk.connect = connect  # type: ignore[method-assign]
    assert [type(error) for error in desk.ask(["none", "none-either"])] == [LookupError] * 2


def test_one_that_cannot_be_looked_up_any_more_is_looked_up_again(desk: Desk, alvys: Simulator) -> None:
    connect, looks = desk.connect, 0

    async def sometimes() -> AlvysClient:
        nonlocal looks
        looks += 1
        if looks == 2:
            raise LookupError("what keeps it is away")
        return await connect()

    desk.connect = sometimes  # type: ignore[method-assign]
    alvys.order_faults({"kind": "reset"})
    assert desk.ask(["none"]) == [None]
    assert looks == 3


def test_a_bug_reaches_those_who_asked(desk: Desk) -> None:
    class Broken(Trips):
        def make_job(self, items: Sequence[str]) -> Any:
            raise ZeroDivisionError

    assert [type(error) for error in desk.ask(["a", "b"], Broken())] == [ZeroDivisionError] * 2


def test_an_answer_short_of_items_is_an_error(desk: Desk) -> None:
    class Short(OneRequest):
        def step(self, client: AlvysClient) -> list[str | None]:
            return []

    class ShortQuery(Statuses):
        def make_job(self, items: Sequence[str]) -> OneRequest:
            return Short(list(items), 1)

    assert [type(error) for error in desk.ask(["a", "b"], ShortQuery())] == [ValueError] * 2


def test_who_still_waits_when_it_is_closed_is_cancelled(desk: Desk) -> None:
    async def work(poller: Poller) -> None:
        asked = asyncio.ensure_future(poller.poll(Statuses(), "none"))
        await asyncio.sleep(0)
        await poller.close()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asked, 5)

    desk.run(work)


def test_no_answer_at_all_is_the_typed_error(desk: Desk, alvys: Simulator) -> None:
    desk.rules = RetryRules(attempts=2)
    alvys.order_faults({"kind": "reset", "times": 9})
    (error,) = desk.ask(["none"])
    assert isinstance(error, AlvysConnectionError)
