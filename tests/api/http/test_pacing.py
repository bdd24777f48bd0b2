from __future__ import annotations

import json
import logging

import msgspec
import pytest

from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK
from airflow_provider_alvys.api.http.pacing import EndpointPace, Pacer, shared_pacer
from airflow_provider_alvys.api.read.queries import Query
from airflow_provider_alvys.api.read.search import Search
from airflow_provider_alvys.api.read.windows import Window, as_utc
from airflow_provider_alvys.simulator.controls.limits import Limiter
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import StoppedClock, make_client

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
        with pacer.turn(endpoint):
            sent.append(clock.time())
            clock.now += latency
    return sent


def test_ten_searches_go_at_once_and_the_eleventh_a_minute_after_the_first_answer() -> None:
    clock = StoppedClock(0.0)
    sent = send(Pacer(clock=clock), clock, requests=21)
    assert sent[:10] == pytest.approx([number * 0.1 for number in range(10)])
    assert sent[10] == pytest.approx(0.1 + 60 * 1.02)
    assert sent[20] == pytest.approx(sent[10] + 0.1 + 60 * 1.02)


def test_the_documented_figures_differ_by_endpoint() -> None:
    clock = StoppedClock(0.0)
    assert send(Pacer(clock=clock), clock, FUEL, requests=6)[5] >= 60
    assert send(Pacer(clock=clock), clock, endpoint_of("GET", "loads"), requests=6)[5] >= 60


def test_endpoints_under_the_default_rule_keep_a_second_between_requests() -> None:
    clock = StoppedClock(0.0)
    sent = send(Pacer(clock=clock), clock, CARRIERS, requests=3)
    assert sent == pytest.approx([0, 1.12, 2.24])


def test_one_token_makes_at_most_ten_requests_a_second_over_all_endpoints() -> None:
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
def test_another_rate_keeps_the_documented_number_in_another_time(
    rate: float, count: int, period: float
) -> None:
    clock = StoppedClock(0.0)
    sent = send(Pacer(rate, clock=clock), clock, requests=count + 1, latency=0)
    assert sent[count - 1] == 0
    assert sent[count] == pytest.approx(period * 1.02)


def test_no_rate_is_no_pacing() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(0, clock=clock)
    assert send(pacer, clock, requests=500, latency=0)[-1] == 0
    assert pacer.stamps() == {}


def test_a_request_that_fails_counts() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    for _ in range(10):
        with pytest.raises(TimeoutError), pacer.turn(LOADS):
            raise TimeoutError
    assert send(pacer, clock, requests=1)[0] >= 60


def test_a_429_halves_the_pace_for_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    send(pacer, clock, requests=1)
    pacer.refused(LOADS)
    assert "something else uses the same budget. Going on at 5 requests per 60 s" in caplog.text
    clock.now = 1000
    sent = send(pacer, clock, requests=6)
    assert sent[5] - sent[0] > 60
    # One that follows at once is of the same block.
    pacer.refused(LOADS)
    assert "at 2 requests" not in caplog.text
    for _ in range(9):
        pacer.answered(LOADS)
        pacer.refused(LOADS)
    # Down to a quarter: less would be standing still.
    assert "at 2 requests per 60 s" in caplog.text
    assert "at 1 requests" not in caplog.text


def test_an_hour_after_the_last_429_the_pace_is_the_full_one_again() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    for _ in range(3):
        pacer.answered(LOADS)
        pacer.refused(LOADS)
    clock.now = 3500
    sent = send(pacer, clock, requests=3)
    assert sent[2] - sent[0] > 60
    clock.now = 3800
    sent = send(pacer, clock, requests=11)
    assert sent[9] - sent[0] < 1
    assert sent[10] - sent[0] > 60


def test_nor_does_the_hour_begin_anew_in_each_process() -> None:
    clock = StoppedClock()
    began = clock.now
    pacer = Pacer(clock=clock)
    pacer.refused(LOADS)
    for _ in range(4):
        clock.sleep(1000)
        send(pacer, clock, requests=1)
        known = pacer.save()
        assert known[str(LOADS)].count == (5 if clock.now - began < 3600 else 10)
        pacer = Pacer(clock=clock)
        pacer.resume(known)


def test_it_says_once_that_it_paces(caplog: pytest.LogCaptureFixture) -> None:
    clock = StoppedClock(0.0)
    with caplog.at_level(logging.INFO):
        send(Pacer(clock=clock), clock, requests=35)
    assert caplog.text.count("Pacing POST loads/search at 10 requests per 60 s, as Alvys documents") == 1


def test_stamps_of_an_earlier_task_count_and_those_from_the_future_do_not_wait_longer_than_a_period() -> None:
    clock = StoppedClock(100.0)
    pacer = Pacer(clock=clock)
    pacer.remember({str(LOADS): [95.0 + number / 10 for number in range(10)]})
    assert send(pacer, clock, requests=1)[0] == pytest.approx(95 + 61.2)
    clock = StoppedClock(100.0)
    pacer = Pacer(clock=clock)
    pacer.remember({str(LOADS): [9_000.0 + number for number in range(10)]})
    assert send(pacer, clock, requests=1)[0] == pytest.approx(100 + 61.2)


def test_what_it_remembers_it_gives_back() -> None:
    clock = StoppedClock(0.0)
    pacer = Pacer(clock=clock)
    send(pacer, clock, requests=3)
    other = Pacer(clock=clock)
    other.remember(pacer.stamps())
    assert other.stamps() == pacer.stamps() == {"POST loads/search": pytest.approx([0.1, 0.2, 0.3])}


def test_a_budget_has_one_pacer_in_a_process() -> None:
    assert shared_pacer("a@host", None) is shared_pacer("a@host", None)
    assert shared_pacer("a@host", None) is not shared_pacer("b@host", None)


@pytest.mark.parametrize("endpoint", [LOADS, FUEL, CARRIERS], ids=str)
def test_the_documented_limiter_never_refuses_the_pacer(endpoint) -> None:
    clock = StoppedClock(0.0)
    pacer, limiter = Pacer(clock=clock), Limiter(60)
    for number in range(200):
        with pacer.turn(endpoint):
            # The request arrives somewhere between its sending and its answer.
            clock.now += (number * 37 % 10) / 50
            assert limiter.admits("client", endpoint, clock.time())
            clock.now += (number * 53 % 10) / 50


def test_fifty_requests_take_hardly_longer_than_the_limit_asks() -> None:
    clock = StoppedClock(0.0)
    pacer, limiter = Pacer(clock=clock), Limiter(60)
    for _ in range(50):
        with pacer.turn(LOADS):
            clock.now += 0.15
            assert limiter.admits("client", LOADS, clock.time())
            clock.now += 0.15
    # Ten at once, ten after each of four minutes, and the answers of the last ten.
    assert clock.now <= 1.1 * 4 * 60


def test_a_walk_of_fifty_pages_meets_no_429(alvys: Simulator) -> None:
    # A minute of the limits lasts a second: 10 requests a second, then a block of three.
    alvys.reset(loads=500, limits=True, minute=1)
    client = make_client(alvys, clock=SYSTEM_CLOCK, requests_per_minute=600)
    until = max(json.loads(row)["UpdatedAt"] for row in alvys.truth_rows())
    window = Window(as_utc("2020-01-01T00:00:00Z", "since"), as_utc(until, "until"))
    query = Query(LOAD_STREAM, LOAD_STREAM.search_fields({}), window, LOAD_STREAM.window("updated"))
    search = Search(client, LOAD_STREAM, [query], page_size=10)
    assert sum(len(rows) for rows in search) == 500
    stats = alvys.stats()
    assert stats["rate_limited"] == 0
    assert stats["requests"]["POST loads/search"] == 50


def test_a_client_that_shares_its_budget_ends_nevertheless(alvys: Simulator) -> None:
    alvys.reset(loads=40, limits=True, minute=0.5)
    other = make_client(alvys, clock=SYSTEM_CLOCK, requests_per_minute=0)
    for _ in range(10):
        other.request("POST", "loads/search", json={"Page": 0, "PageSize": 1, "Status": ["Open"]})
    client = make_client(alvys, clock=SYSTEM_CLOCK, requests_per_minute=1200)
    query = Query(LOAD_STREAM, LOAD_STREAM.search_fields({}))
    assert sum(len(rows) for rows in Search(client, LOAD_STREAM, [query], page_size=10)) == 40
    assert alvys.stats()["rate_limited"] >= 1


def test_a_halved_pace_and_a_429_are_known_to_the_process_that_goes_on() -> None:
    clock = StoppedClock(0.0)
    pacer, next_one = Pacer(clock=clock), Pacer(clock=clock)
    send(pacer, clock, requests=1)
    pacer.refused(LOADS)
    kept = msgspec.json.decode(msgspec.json.encode(pacer.save()), type=dict[str, EndpointPace])
    next_one.resume(kept)
    assert next_one.refusals(LOADS) == 1
    clock.now = 1000
    sent = send(next_one, clock, requests=6)
    assert sent[5] - sent[0] > 60
