from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint, endpoint_of
from airflow_provider_alvys.api.catalogue.limits import LIMITS, limit_of
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysRateLimitError
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK
from airflow_provider_alvys.api.http.pacing import EndpointPace, Pacer, shared_pacer
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT
from airflow_provider_alvys.api.read.queries import Query
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.windows import Window, as_utc
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.simulator.__main__ import connection_json
from airflow_provider_alvys.simulator.controls.limits import RateLimiter
from airflow_provider_alvys.simulator.options import Options
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, StoppedClock, make_client

LOADS = endpoint_of("POST", "loads/search")
FUEL = endpoint_of("POST", "fuel/search")
CARRIERS = endpoint_of("POST", "carriers/search")

LOAD_STREAM = get_stream("loads")


def send(
    pacer: Pacer, clock: StoppedClock, endpoint=LOADS, *, requests: int, latency: float = 0.1
) -> list[float]:
    """Return when each request was sent."""
    sent = []
    for _ in range(requests):
        with pacer.slot(endpoint):
            sent.append(clock.time())
            clock.now += latency
    return sent


def reduced_limits(caplog: pytest.LogCaptureFixture) -> list[int]:
    """Return the limits that the pacer warned of."""
    records = [record for record in caplog.records if record.levelno == logging.WARNING]
    return [record.args[1] for record in records if "Reducing" in record.msg]  # type: ignore[index,misc]


def test_ten_searches_are_sent_at_once_and_the_eleventh_a_minute_after_the_first_response() -> None:
    clock = StoppedClock(0.0)
    sent = send(Pacer(clock=clock), clock, requests=21)
    assert sent[:10] == pytest.approx([number * 0.1 for number in range(10)])
    assert sent[10] == pytest.approx(0.1 + 60 * 1.02)
    assert sent[20] == pytest.approx(sent[10] + 0.1 + 60 * 1.02)


def test_documented_limits_differ_by_endpoint() -> None:
    clock = StoppedClock(0.0)
    assert send(Pacer(clock=clock), clock, FUEL, requests=6)[5] >= 60
    assert send(Pacer(clock=clock), clock, endpoint_of("GET", "loads"), requests=6)[5] >= 60


def test_endpoints_under_the_default_limit_keep_a_second_between_requests() -> None:
    clock = StoppedClock(0.0)
    sent = send(Pacer(clock=clock), clock, CARRIERS, requests=3)
    assert sent == pytest.approx([0, 1.12, 2.24])


def test_a_token_makes_at_most_ten_requests_a_second_over_all_endpoints() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    sent = [
        send(pacer, clock, endpoint, requests=5, latency=0.01)
        for endpoint in (LOADS, FUEL, endpoint_of("POST", "trips/search"))
    ]
    times = [time for batch in sent for time in batch]
    assert times[10] >= 1.0
    assert times[9] < 0.2


@pytest.mark.parametrize(
    ("rate", "count", "period"),
    [(600, 10, 1), (100, 10, 6), (5, 5, 60), (4, 4, 60), (0.5, 1, 120)],
)
def test_another_rate_sends_the_documented_number_in_another_period(
    rate: float, count: int, period: float
) -> None:
    clock = StoppedClock(0.0)
    sent = send(Pacer(rate, clock=clock), clock, requests=count + 1, latency=0)
    assert sent[count - 1] == 0
    assert sent[count] == pytest.approx(period * 1.02)


def test_a_rate_of_zero_turns_pacing_off() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(0, clock=clock)
    assert send(pacer, clock, requests=500, latency=0)[-1] == 0
    assert pacer.timestamps() == {}


def test_a_failed_request_counts() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    for _ in range(10):
        with pytest.raises(TimeoutError), pacer.slot(LOADS):
            raise TimeoutError
    assert send(pacer, clock, requests=1)[0] >= 60


@pytest.mark.parametrize("requests", [1, 5, 10, 25])
def test_the_time_of_further_requests_is_known_in_advance(requests: int) -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    send(pacer, clock, requests=7)
    before = pacer.save()
    seconds = pacer.seconds_until(LOADS, requests)
    # An estimate changes nothing.
    assert pacer.save() == before
    began = clock.time()
    assert send(pacer, clock, requests=requests)[-1] - began == pytest.approx(seconds, abs=0.1 * requests + 1)


def test_without_a_pace_no_request_has_to_wait() -> None:
    assert Pacer(0, clock=StoppedClock(0.0)).seconds_until(LOADS, 1000) == 0


def test_a_429_halves_the_pace_for_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    send(pacer, clock, requests=1)
    pacer.record_429(LOADS)
    assert reduced_limits(caplog) == [5]
    clock.now = 1000
    sent = send(pacer, clock, requests=6)
    assert sent[5] - sent[0] > 60
    # A second 429 in a row belongs to the same block.
    pacer.record_429(LOADS)
    assert reduced_limits(caplog) == [5]
    for _ in range(9):
        pacer.reset_429s(LOADS)
        pacer.record_429(LOADS)
    # Not below a quarter of the documented limit.
    assert reduced_limits(caplog) == [5] + [2] * 9


def test_the_pace_is_back_to_normal_an_hour_after_the_last_429() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    for _ in range(3):
        pacer.reset_429s(LOADS)
        pacer.record_429(LOADS)
    clock.now = 3500
    sent = send(pacer, clock, requests=3)
    assert sent[2] - sent[0] > 60
    clock.now = 3800
    sent = send(pacer, clock, requests=11)
    assert sent[9] - sent[0] < 1
    assert sent[10] - sent[0] > 60


def test_the_hour_of_a_reduced_pace_does_not_restart_in_each_process() -> None:
    clock = StoppedClock()
    began = clock.now
    pacer = Pacer(clock=clock)
    pacer.record_429(LOADS)
    for _ in range(4):
        clock.sleep(1000)
        send(pacer, clock, requests=1)
        known = pacer.save()
        assert known[str(LOADS)].limit == (5 if clock.now - began < 3600 else 10)
        pacer = Pacer(clock=clock)
        pacer.restore(known)


def test_each_long_wait_is_logged_with_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    clock = StoppedClock(0.0)
    with caplog.at_level(logging.INFO):
        send(Pacer(clock=clock), clock, requests=35)
    reason = f"rate limit of {LOADS}, 10 requests per 60 s"
    assert [record.args[1] for record in caplog.records] == [reason] * 3  # type: ignore[index]
    assert len(clock.sleeps) > 3


def test_timestamps_of_an_earlier_task_count_and_future_ones_wait_at_most_one_period() -> None:
    clock = StoppedClock(100.0)
    pacer = Pacer(clock=clock)
    pacer.add_timestamps({str(LOADS): [95.0 + number / 10 for number in range(10)]})
    assert send(pacer, clock, requests=1)[0] == pytest.approx(95 + 61.2)
    clock = StoppedClock(100.0)
    pacer = Pacer(clock=clock)
    pacer.add_timestamps({str(LOADS): [9_000.0 + number for number in range(10)]})
    assert send(pacer, clock, requests=1)[0] == pytest.approx(100 + 61.2)


def test_added_timestamps_are_returned() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    send(pacer, clock, requests=3)
    other = Pacer(clock=clock)
    other.add_timestamps(pacer.timestamps())
    assert other.timestamps() == pacer.timestamps() == {"POST loads/search": pytest.approx([0.1, 0.2, 0.3])}


def test_a_process_has_one_pacer_per_budget() -> None:
    assert shared_pacer("a@host", None) is shared_pacer("a@host", None)
    assert shared_pacer("a@host", None) is not shared_pacer("b@host", None)


@pytest.mark.parametrize("endpoint", [LOADS, FUEL, CARRIERS], ids=str)
def test_a_paced_client_never_exceeds_the_documented_limit(endpoint) -> None:
    clock = StoppedClock(0.0)
    pacer, limiter = Pacer(clock=clock), RateLimiter(60)
    for number in range(200):
        with pacer.slot(endpoint):
            # The request arrives between sending and response.
            clock.now += (number * 37 % 10) / 50
            assert limiter.admits("client", endpoint, clock.time())
            clock.now += (number * 53 % 10) / 50


@pytest.mark.parametrize("minute", [1.0, 25.0, 60.0, 600.0])
@pytest.mark.parametrize("endpoint", [*LIMITS, str(CARRIERS)])
def test_one_rate_on_the_connection_scales_the_limits_of_all_endpoints(endpoint: str, minute: float) -> None:
    clock = StoppedClock(0.0)
    printed = msgspec.json.decode(connection_json("http://127.0.0.1:1", Options(minute=minute)))
    pacer = Pacer(printed["extra"].get("requests_per_minute"), clock=clock)
    limiter = RateLimiter(minute)
    method, _, template = endpoint.partition(" ")
    called = Endpoint(method, template)
    requests = 5 * limit_of(called).requests
    for _ in range(requests):
        with pacer.slot(called):
            assert limiter.admits("client", called, clock.time())
            clock.now += minute / 6000
    # As fast as the limit allows: a window for each of its requests, and the margin.
    assert clock.now <= 5 * minute * 1.1


@pytest.mark.parametrize(
    ("rate", "says"), [(None, "pool"), (5, "pool"), (600, "requests_per_minute=600"), (0, "turns pacing off")]
)
def test_the_advice_on_a_429_fits_the_pace_of_the_connection(
    alvys: Simulator, rate: float | None, says: str
) -> None:
    client = make_client(alvys, clock=StoppedClock(0.0), requests_per_minute=rate, retry_rules=ONE_ATTEMPT)
    alvys.order_faults({"kind": "status", "status": 429, "endpoint": "POST fuel/search"})
    with pytest.raises(AlvysRateLimitError) as caught:
        client.request("POST", "fuel/search", json={})
    assert says in str(caught.value)
    assert ("pool" in str(caught.value)) == (says == "pool")


def test_a_simulator_with_short_minutes_prints_a_connection_that_meets_no_429(
    alvys: Simulator, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    alvys.reset(loads=1, rows={"fuel": 30}, limits=True, minute=1)
    monkeypatch.setenv(CONNECTION, alvys.connection_json())
    hook = AlvysHook()
    for stream in ("fuel", "tolls", "loads"):
        for _ in range(12):
            hook.count(stream, since="2020-01-01T00:00:00Z", until="2030-01-01T00:00:00Z")
    assert alvys.stats()["rate_limited"] == 0
    assert alvys.stats()["requests"]["POST fuel/search"] >= 12


def test_fifty_requests_take_at_most_ten_percent_longer_than_the_limit() -> None:
    clock = StoppedClock(0.0)
    pacer, limiter = Pacer(clock=clock), RateLimiter(60)
    for _ in range(50):
        with pacer.slot(LOADS):
            clock.now += 0.15
            assert limiter.admits("client", LOADS, clock.time())
            clock.now += 0.15
    # Ten at once, then ten after each of four minutes.
    assert clock.now <= 1.1 * 4 * 60


def test_fifty_pages_are_read_without_a_429(alvys: Simulator) -> None:
    # A minute of the limits lasts one second: 10 requests a second, and a block lasts three.
    alvys.reset(loads=500, limits=True, minute=1)
    client = make_client(alvys, clock=SYSTEM_CLOCK, requests_per_minute=600)
    until = max(json.loads(row)["UpdatedAt"] for row in alvys.truth_rows())
    # A range excludes its end.
    end = as_utc(until, "until") + timedelta(seconds=1)
    window = Window(as_utc("2020-01-01T00:00:00Z", "since"), end)
    query = Query(LOAD_STREAM, LOAD_STREAM.search_fields({}), window, LOAD_STREAM.window("updated"))
    search = Search(client, LOAD_STREAM, [query], page_size=10)
    assert sum(len(rows) for rows in search) == 500
    stats = alvys.stats()
    assert stats["rate_limited"] == 0
    assert stats["requests"]["POST loads/search"] == 50


def test_a_client_that_shares_its_budget_finishes(alvys: Simulator) -> None:
    alvys.reset(loads=40, limits=True, minute=0.5)
    other = make_client(alvys, clock=SYSTEM_CLOCK, requests_per_minute=0)
    for _ in range(10):
        other.request("POST", "loads/search", json={"Page": 0, "PageSize": 1, "Status": ["Open"]})
    client = make_client(alvys, clock=SYSTEM_CLOCK, requests_per_minute=1200)
    query = Query(LOAD_STREAM, LOAD_STREAM.search_fields({}))
    assert sum(len(rows) for rows in Search(client, LOAD_STREAM, [query], page_size=10)) == 40
    assert alvys.stats()["rate_limited"] >= 1


def test_a_reduced_pace_and_a_429_are_restored_in_another_process() -> None:
    clock = StoppedClock(0.0)
    pacer, restored = Pacer(clock=clock), Pacer(clock=clock)
    send(pacer, clock, requests=1)
    pacer.record_429(LOADS)
    stored = msgspec.json.decode(msgspec.json.encode(pacer.save()), type=dict[str, EndpointPace])
    restored.restore(stored)
    assert restored.consecutive_429s(LOADS) == 1
    clock.now = 1000
    sent = send(restored, clock, requests=6)
    assert sent[5] - sent[0] > 60
