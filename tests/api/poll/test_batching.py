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

    max_items: int = 50
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


class Sleeps:
    """A sleep that advances the clock at once and lets other coroutines run."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seconds: list[float] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.clock.sleep(seconds)
        self.meanwhile()
        for _ in range(5):
            await asyncio.sleep(0)


@dataclass
class Harness:
    """A poller, its clients and its sleeps."""

    alvys: Simulator
    clock: Clock
    options: dict[str, Any] = field(default_factory=dict)
    rules: RetryRules | None = None
    sleep: Callable[[float], Awaitable[None]] | None = None
    batch_delay: float = 0.5
    clients: list[AlvysClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sleeps = Sleeps(self.clock)

    async def connect(self) -> AlvysClient:
        options = {**non_blocking_options(self.clock), **self.options}
        self.clients.append(make_client(self.alvys, **options))
        return self.clients[-1]

    def run(self, work: Callable[[Poller], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            sleep = self.sleep or self.sleeps
            poller = Poller(
                self.connect, sleep=sleep, clock=self.clock, rules=self.rules, batch_delay=self.batch_delay
            )
            try:
                return await asyncio.wait_for(work(poller), 60)
            finally:
                await poller.close()

        return asyncio.run(run())

    def poll(self, items: Sequence[str], query: Any = None) -> list[Any]:
        """Poll for all of these items at once, and return results and errors."""
        query = query or Statuses()
        return list(
            self.run(
                lambda poller: asyncio.gather(
                    *(poller.poll(query, item) for item in items), return_exceptions=True
                )
            )
        )


@pytest.fixture
def harness(alvys: Simulator, clock: SkippingClock) -> Harness:
    return Harness(alvys, clock)


@pytest.fixture
def truth(alvys: Simulator) -> dict[str, str]:
    rows = [json.loads(row) for row in alvys.truth_rows()]
    return {row["LoadNumber"]: row["Status"] for row in rows if not row["IsDeleted"]}


def searches(alvys: Simulator) -> int:
    return int(alvys.stats()["requests"].get("POST loads/search", 0))


def test_five_hundred_items_cost_ten_requests(
    alvys: Simulator, harness: Harness, truth: dict[str, str]
) -> None:
    numbers = [*truth, *(f"none-{i}" for i in range(500 - len(truth)))]
    assert harness.poll(numbers) == [truth.get(number) for number in numbers]
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 10}
    # One batch delay, and no other wait.
    assert harness.sleeps.seconds == [0.5]


def test_the_same_item_is_requested_once_for_all(
    alvys: Simulator, harness: Harness, truth: dict[str, str]
) -> None:
    number = next(iter(truth))
    assert harness.poll([number] * 400) == [truth[number]] * 400
    assert searches(alvys) == 1


def test_the_documented_pace_avoids_every_429(alvys: Simulator) -> None:
    # The simulator's minute lasts a quarter of a second.
    alvys.reset(loads=1, limits=True, minute=0.25)
    harness = Harness(
        alvys, SYSTEM_CLOCK, options={"requests_per_minute": 2400}, sleep=asyncio.sleep, batch_delay=0.0
    )
    assert harness.poll([f"none-{i}" for i in range(25)], Statuses(max_items=1)) == [None] * 25
    stats = alvys.stats()
    assert (stats["requests"]["POST loads/search"], stats["rate_limited"]) == (25, 0)


def test_the_pace_is_waited_for_in_the_coroutine(harness: Harness, alvys: Simulator) -> None:
    harness.options["requests_per_minute"] = None
    assert harness.poll([f"none-{i}" for i in range(12)], Statuses(max_items=1)) == [None] * 12
    (turn,) = [wait for wait in harness.sleeps.seconds if wait > 1]
    assert 55 < turn < 62


def test_an_item_added_while_a_batch_waits_joins_it(harness: Harness, alvys: Simulator) -> None:
    harness.options["requests_per_minute"] = 1

    async def work(poller: Poller) -> None:
        await poller.poll(Statuses(), "none")
        late: list[asyncio.Task[Any]] = []

        def poll_late() -> None:
            late.append(asyncio.ensure_future(poller.poll(Statuses(), "none-too")))

        # The second batch waits for a minute, and takes another item.
        harness.sleeps.meanwhile = poll_late
        await poller.poll(Statuses(), "none-either")
        await asyncio.gather(*late)

    harness.run(work)
    assert searches(alvys) == 2


def test_a_cancelled_caller_does_not_affect_others(
    harness: Harness, alvys: Simulator, truth: dict[str, str]
) -> None:
    number, other = list(truth)[:2]

    async def work(poller: Poller) -> Any:
        first, second, third = (
            asyncio.ensure_future(poller.poll(Statuses(), item)) for item in (number, number, other)
        )
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.gather(first, second, third, return_exceptions=True)

    cancelled, *answers = harness.run(work)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert answers == [truth[number], truth[other]]


def test_an_abandoned_item_is_not_requested(harness: Harness, alvys: Simulator) -> None:
    async def work(poller: Poller) -> None:
        task = asyncio.ensure_future(poller.poll(Statuses(), "none"))
        await asyncio.sleep(0)
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)

    harness.run(work)
    assert alvys.stats()["requests"] == {}


def test_an_abandoned_item_is_not_retried(harness: Harness, alvys: Simulator) -> None:
    alvys.order_faults({"kind": "status", "status": 500})
    query = Statuses(max_items=1)

    async def work(poller: Poller) -> None:
        task = asyncio.ensure_future(poller.poll(query, "none"))
        await asyncio.sleep(0)
        # While it waits for its second attempt.
        harness.sleeps.meanwhile = lambda: len(harness.sleeps.seconds) > 1 and task.cancel()
        await asyncio.wait([task])
        await poller.poll(query, "none-either")

    harness.run(work)
    assert searches(alvys) == 2


def test_a_refused_item_alone_gets_the_error(
    harness: Harness, alvys: Simulator, truth: dict[str, str]
) -> None:
    numbers = list(truth)[:100]
    numbers[37] = ""  # Alvys takes no empty number.
    answers = harness.poll(numbers, Picky())
    assert isinstance(answers.pop(37), AlvysValidationError)
    assert answers == [truth[number] for number in numbers if number]
    # A binary search: each step requests both halves.
    assert searches(alvys) <= 15


@dataclass(frozen=True)
class Picky(Statuses):
    """Refused if one of the numbers is empty."""

    def make_job(self, items: Sequence[str]) -> OneRequest:
        return (
            Refused(list(items), self.page_size) if "" in items else OneRequest(list(items), self.page_size)
        )


class Refused(OneRequest):
    def step(self, client: AlvysClient) -> list[str | None]:
        client.request("POST", "loads/search", json={"Page": 0, "PageSize": 1})
        raise AssertionError("Alvys accepted a search without a filter")


def test_no_item_joins_a_batch_that_is_being_split(
    harness: Harness, alvys: Simulator, truth: dict[str, str]
) -> None:
    harness.options["requests_per_minute"] = 1
    number, other = list(truth)[:2]

    async def work(poller: Poller) -> Any:
        late: list[asyncio.Task[Any]] = []

        def join() -> None:
            # The first half waits for the pace.
            if len(harness.sleeps.seconds) == 2:
                late.append(asyncio.ensure_future(poller.poll(Picky(), other)))

        harness.sleeps.meanwhile = join
        first = await asyncio.gather(
            *(poller.poll(Picky(), item) for item in ("", number)), return_exceptions=True
        )
        return first, await asyncio.gather(*late)

    (error, answer), late = harness.run(work)
    assert isinstance(error, AlvysValidationError)
    assert (answer, late) == (truth[number], [truth[other]])
    # Both, each alone, and the late item.
    assert searches(alvys) == 4


def test_a_batch_of_more_rows_than_a_page_is_halved(
    harness: Harness, alvys: Simulator, truth: dict[str, str]
) -> None:
    numbers = list(truth)[:40]
    assert harness.poll(numbers, Statuses(page_size=10)) == [truth[number] for number in numbers]
    assert searches(alvys) == 7


def test_a_failure_that_may_pass_is_retried(
    harness: Harness, alvys: Simulator, truth: dict[str, str]
) -> None:
    number = next(iter(truth))
    alvys.order_faults(
        {"kind": "status", "status": 500},
        {"kind": "truncate"},
        {"kind": "status", "status": 500, "endpoint": "POST token"},
    )
    assert harness.poll([number]) == [truth[number]]
    assert alvys.stats()["requests"] == {"POST token": 2, "POST loads/search": 3}
    assert len(harness.sleeps.seconds) == 4


def test_every_caller_gets_the_error_after_the_last_attempt(harness: Harness, alvys: Simulator) -> None:
    alvys.order_faults({"kind": "status", "status": 500, "times": 99})
    harness.rules = RetryRules(attempts=3)
    errors = harness.poll(["none", "none-either"])
    assert [type(error) for error in errors] == [AlvysServerError] * 2
    assert searches(alvys) == 3


def test_retry_after_is_respected_and_a_second_429_waits_for_the_documented_block(
    harness: Harness, alvys: Simulator
) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "body": "html", "retry_after": "7", "times": 2})
    harness.options["requests_per_minute"] = None
    assert harness.poll(["none"]) == [None]
    _, first, second = (wait for wait in harness.sleeps.seconds if wait >= 0.5)
    assert 7 <= first < 8
    assert 180 <= second < 181


def test_the_block_is_remembered_between_two_polls(harness: Harness, alvys: Simulator) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": "1", "times": 3})
    harness.options["requests_per_minute"] = None
    harness.rules = RetryRules(attempts=1)

    async def work(poller: Poller) -> None:
        for _ in range(2):
            with pytest.raises(AlvysRateLimitError):
                await poller.poll(Statuses(), "none")
        poller._rules = RetryRules(attempts=2)
        assert await poller.poll(Statuses(), "none") is None

    harness.run(work)
    assert 180 <= max(harness.sleeps.seconds) < 181


def test_a_retry_after_beyond_the_rules_is_an_error_and_delays_the_next_poll(
    harness: Harness, alvys: Simulator
) -> None:
    alvys.order_faults({"kind": "status", "status": 429, "retry_after": "1000"})

    async def work(poller: Poller) -> None:
        with pytest.raises(AlvysRateLimitError):
            await poller.poll(Statuses(), "none")
        assert len(harness.sleeps.seconds) == 1
        assert await poller.poll(Statuses(), "none") is None

    harness.run(work)
    assert max(harness.sleeps.seconds) == pytest.approx(1000, abs=1)


def test_queries_do_not_wait_for_each_other(
    harness: Harness, alvys: Simulator, truth: dict[str, str]
) -> None:
    number = next(iter(truth))
    is_free = asyncio.Event()

    async def sleep(seconds: float) -> None:
        # The retry of trips waits until loads have been read.
        if seconds > 0.6:
            await is_free.wait()

    harness.sleep = sleep
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

    harness.run(work)


@dataclass(frozen=True)
class Trips:
    """The number of trips with a number."""

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


def test_a_job_of_several_requests_resumes_after_a_failure(harness: Harness, alvys: Simulator) -> None:
    harness.options["requests_per_minute"] = None
    alvys.order_faults({"kind": "status", "status": 500, "skip": 3})
    assert harness.poll(["14"], PageNumbers()) == [list(range(14))]
    assert searches(alvys) == 15
    assert any(wait > 50 for wait in harness.sleeps.seconds)


@dataclass(frozen=True)
class PageNumbers:
    """Read some pages, and return their numbers."""

    max_items: int = 1
    endpoint: Endpoint = LOADS

    def make_job(self, items: Sequence[str]) -> Pages:
        return Pages(int(items[0]))


@dataclass
class Pages:
    pages: int
    read: list[int] = field(default_factory=list)

    def step(self, client: AlvysClient) -> list[list[int]] | None:
        body = {"Page": len(self.read), "PageSize": 1, "Status": ["Open", "Invoiced"], "IncludeDeleted": True}
        client.request("POST", "loads/search", json=body)
        self.read.append(len(self.read))
        return [self.read] if len(self.read) == self.pages else None


def test_new_credentials_are_picked_up(harness: Harness, alvys: Simulator) -> None:
    async def work(poller: Poller) -> None:
        assert await poller.poll(Statuses(), "none") is None
        alvys.reset(loads=1, client_secret="rotated")
        assert await poller.poll(Statuses(), "none") is None

    harness.run(work)
    assert len(harness.clients) == 2


@pytest.mark.parametrize("rate", [0, None])
def test_refused_credentials_are_an_error_after_reading_the_connection_again(
    harness: Harness, alvys: Simulator, rate: float | None
) -> None:
    # With and without a pace.
    harness.options["requests_per_minute"] = rate
    alvys.order_faults({"kind": "status", "status": 401, "endpoint": "GET loads/{id}/documents", "times": 99})
    (error,) = harness.poll(["1"], Documents())
    assert isinstance(error, AlvysAuthError)
    assert alvys.stats()["requests"]["GET loads/{id}/documents"] == 2
    assert len(harness.clients) == 1


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


def test_after_a_connection_error_the_airflow_connection_is_read_again(
    harness: Harness, alvys: Simulator
) -> None:
    alvys.order_faults({"kind": "reset"})
    assert harness.poll(["none"]) == [None]
    assert len(harness.clients) == 2


def test_every_caller_gets_the_error_if_the_airflow_connection_cannot_be_read(harness: Harness) -> None:
    async def connect() -> AlvysClient:
        raise LookupError("no such connection")

    harness.connect = connect  # type: ignore[method-assign]
    assert [type(error) for error in harness.poll(["none", "none-either"])] == [LookupError] * 2


def test_reading_the_airflow_connection_is_retried_if_it_worked_before(
    harness: Harness, alvys: Simulator
) -> None:
    connect, reads = harness.connect, 0

    async def sometimes() -> AlvysClient:
        nonlocal reads
        reads += 1
        if reads == 2:
            raise LookupError("the secrets backend is down")
        return await connect()

    harness.connect = sometimes  # type: ignore[method-assign]
    alvys.order_faults({"kind": "reset"})
    assert harness.poll(["none"]) == [None]
    assert reads == 3


def test_every_caller_gets_the_error_of_a_bug(harness: Harness) -> None:
    class Broken(Trips):
        def make_job(self, items: Sequence[str]) -> Any:
            raise ZeroDivisionError

    assert [type(error) for error in harness.poll(["a", "b"], Broken())] == [ZeroDivisionError] * 2


def test_fewer_results_than_items_are_an_error(harness: Harness) -> None:
    class Short(OneRequest):
        def step(self, client: AlvysClient) -> list[str | None]:
            return []

    class ShortQuery(Statuses):
        def make_job(self, items: Sequence[str]) -> OneRequest:
            return Short(list(items), 1)

    assert [type(error) for error in harness.poll(["a", "b"], ShortQuery())] == [ValueError] * 2


def test_closing_the_poller_cancels_waiting_callers(harness: Harness) -> None:
    async def work(poller: Poller) -> None:
        task = asyncio.ensure_future(poller.poll(Statuses(), "none"))
        await asyncio.sleep(0)
        await poller.close()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 5)

    harness.run(work)


def test_a_connection_error_keeps_its_type(harness: Harness, alvys: Simulator) -> None:
    harness.rules = RetryRules(attempts=2)
    alvys.order_faults({"kind": "reset", "times": 9})
    (error,) = harness.poll(["none"])
    assert isinstance(error, AlvysConnectionError)
