from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from airflow_provider_alvys.api.client import AlvysClient
from airflow_provider_alvys.api.endpoints import Endpoint
from airflow_provider_alvys.api.polling import Poller, TooManyRows, prompt_options
from airflow_provider_alvys.api.retries import RetryRules
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import SkippingClock, make_client

LOADS = Endpoint("POST", "loads/search")


@dataclass(frozen=True)
class Statuses:
    """The statuses of loads."""

    most: int = 150
    page_size: int = 200

    @property
    def endpoint(self) -> Endpoint:
        return LOADS

    def begin(self, items: Sequence[str]) -> OneRequest:
        return OneRequest(list(items), self.page_size)


@dataclass
class OneRequest:
    items: list[str]
    page_size: int

    def go_on(self, client: AlvysClient) -> list[str | None]:
        assert threading.current_thread() is not threading.main_thread()
        body = {"Page": 0, "PageSize": self.page_size, "LoadNumbers": self.items, "IncludeDeleted": False}
        page = client.request("POST", "loads/search", json=body).json()
        if page["Total"] > len(page["Items"]) and len(self.items) > 1:
            raise TooManyRows("The page is full.")
        found = {row["LoadNumber"]: row["Status"] for row in page["Items"]}
        return [found.get(item) for item in self.items]


class Waits:
    """What a coroutine waits for, which nobody does: the clock goes on, and so does everybody who is ready."""

    def __init__(self, clock: SkippingClock) -> None:
        self.clock = clock
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.clock.sleeps.append(seconds)
        for _ in range(5):
            await asyncio.sleep(0)


@dataclass
class Desk:
    """A poller, its clients and its waits."""

    alvys: Simulator
    clock: SkippingClock
    options: dict[str, Any] = field(default_factory=dict)
    rules: RetryRules | None = None
    clients: list[AlvysClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waits = Waits(self.clock)

    async def connect(self) -> AlvysClient:
        options = {**prompt_options(self.clock), **self.options}
        self.clients.append(make_client(self.alvys, **options))
        return self.clients[-1]

    def run(self, work: Callable[[Poller], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            poller = Poller(self.connect, sleep=self.waits, clock=self.clock, rules=self.rules)
            try:
                return await asyncio.wait_for(work(poller), 60)
            finally:
                await poller.close()

        return asyncio.run(run())

    def ask(self, items: Sequence[str], line: Any = None) -> list[Any]:
        """Ask for all of these at once, and return answers and errors."""
        line = line or Statuses()
        return list(self.run(lambda poller: asyncio.gather(*(poller.ask(line, item) for item in items), return_exceptions=True)))


@pytest.fixture
def desk(alvys: Simulator, clock: SkippingClock) -> Desk:
    return Desk(alvys, clock)


@pytest.fixture
def truth(alvys: Simulator) -> dict[str, str]:
    rows = [json.loads(row) for row in alvys.truth_rows()]
    return {row["LoadNumber"]: row["Status"] for row in rows if not row["IsDeleted"]}


def searches(alvys: Simulator) -> int:
    return int(alvys.stats()["requests"].get("POST loads/search", 0))


def test_five_hundred_questions_cost_four_requests(alvys: Simulator, desk: Desk, truth: dict[str, str]) -> None:
    numbers = [*truth, *(f"none-{i}" for i in range(500 - len(truth)))]
    assert desk.ask(numbers) == [truth.get(number) for number in numbers]
    assert alvys.stats()["requests"] == {"POST token": 1, "POST loads/search": 4}
    # They gathered once; nothing else was waited for.
    assert desk.waits.asked == [0.5]


def test_the_same_question_of_many_is_one(alvys: Simulator, desk: Desk, truth: dict[str, str]) -> None:
    number = next(iter(truth))
    assert desk.ask([number] * 400) == [truth[number]] * 400
    assert searches(alvys) == 1


def test_the_documented_pace_is_kept_and_met_by_no_429(alvys: Simulator, clock: SkippingClock) -> None:
    alvys.reset(loads=450, limits=True, minute=0.5)
    # The limits at half a second a minute are 1200 requests a minute; the clock is real here.
    desk = Desk(alvys, clock, options={"requests_per_minute": 10 / 0.5 * 60})
    numbers = [f"none-{i}" for i in range(25)]

    async def real(seconds: float) -> None:
        desk.waits.asked.append(seconds)
        await asyncio.sleep(seconds)

    desk.waits.__class__ = type("Real", (Waits,), {"__call__": lambda self, seconds: real(seconds)})
    assert desk.ask(numbers, Statuses(most=1)) == [None] * 25
    assert alvys.stats()["requests"]["POST loads/search"] == 25
    assert alvys.stats()["answers"].get("429", 0) == 0
