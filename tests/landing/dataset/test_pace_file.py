from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from airflow_provider_alvys.api.catalogue.endpoints import endpoint_of
from airflow_provider_alvys.api.http.auth import make_credentials
from airflow_provider_alvys.api.http.client import AlvysClient
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.landing.dataset.pace_file import load_pace, save_pace
from airflow_provider_alvys.landing.dataset.store import Store
from tests.conftest import StoppedClock

LOADS = endpoint_of("POST", "loads/search")


def make_client(clock: StoppedClock, client_id: str = "id") -> AlvysClient:
    return AlvysClient(make_credentials(client_id, "secret"), clock=clock, pacer=Pacer(clock=clock))


def send(client: AlvysClient, clock: StoppedClock, requests: int) -> None:
    for _ in range(requests):
        with client.pacer.slot(LOADS):
            clock.now += 1


def test_the_requests_of_tasks_that_run_side_by_side_are_all_kept(tmp_path: Path) -> None:
    store, clock = Store(str(tmp_path)), StoppedClock(0.0)
    one, other = make_client(clock), make_client(clock)
    send(one, clock, 3)
    send(other, clock, 4)
    save_pace(store, one)
    save_pace(store, other)
    save_pace(store, one)
    later = make_client(clock)
    load_pace(store, later)
    assert later.pacer.timestamps() == {"POST loads/search": [1, 2, 3, 4, 5, 6, 7]}


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    clock = StoppedClock(0.0)
    Store(str(tmp_path)).put("loads/x", b"x")

    def write(number: int) -> None:
        client = make_client(clock)
        for turn in range(20):
            client.pacer.add_timestamps({f"POST stream-{number}/search": [float(turn)]})
            save_pace(Store(str(tmp_path)), client)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    later = make_client(clock)
    load_pace(Store(str(tmp_path)), later)
    assert {len(stamps) for stamps in later.pacer.timestamps().values()} == {20}
    assert len(later.pacer.timestamps()) == 8


def test_another_client_id_has_a_pace_of_its_own(tmp_path: Path) -> None:
    store, clock = Store(str(tmp_path)), StoppedClock(0.0)
    one = make_client(clock)
    send(one, clock, 3)
    save_pace(store, one)
    other = make_client(clock, client_id="other")
    load_pace(store, other)
    assert other.pacer.timestamps() == {}


def test_timestamps_of_a_clock_far_ahead_are_dropped(tmp_path: Path) -> None:
    store, ahead, clock = Store(str(tmp_path)), StoppedClock(3600.0), StoppedClock(0.0)
    one, other = make_client(ahead), make_client(clock)
    send(one, ahead, 20)
    save_pace(store, one)
    send(other, clock, 2)
    load_pace(store, other)
    save_pace(store, other)
    later = make_client(clock)
    load_pace(store, later)
    assert later.pacer.timestamps() == {"POST loads/search": [1, 2]}


def test_only_the_last_requests_are_kept(tmp_path: Path) -> None:
    store, clock = Store(str(tmp_path)), StoppedClock(0.0)
    for _ in range(9):
        client = make_client(clock)
        send(client, clock, 5)
        save_pace(store, client)
    later = make_client(clock)
    load_pace(store, later)
    assert later.pacer.timestamps() == {"POST loads/search": list(range(26, 46))}
