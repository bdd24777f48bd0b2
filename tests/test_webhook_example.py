"""The webhook example in a real Airflow: API server with receiver and plugin, and scheduler."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.simulator.process import Simulator
from tests.conftest import CONNECTION, ROOT, SteadySimulator, read_xcoms
from tests.forked_airflow import ForkedAirflow, home_settings

pytest.importorskip("airflow_inbound_webhooks")
pytestmark = [pytest.mark.every_airflow, pytest.mark.slow]

SECRET = "whsec-of-the-test"
DAG = "alvys_webhooks"


def code_blocks(language: str) -> list[str]:
    """Return the code blocks of docs/webhooks.md, so that the documented code is tested."""
    text = (ROOT / "docs" / "webhooks.md").read_text()
    return [block.split("```")[0] for block in text.split(f"```{language}\n")[1:]]


class Airflow:
    """An API server with its own home, and a sender of deliveries."""

    def __init__(self, home: Path, port: int, command: Callable[..., str]) -> None:
        self.home = home
        self.command = command
        self.url = f"http://127.0.0.1:{port}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as database:
            return database.execute(sql).fetchall()

    def event_count(self) -> int:
        """Return how many events the receiver has stored: those of other tests count too."""
        ((count,),) = self.query("SELECT count(*) FROM asset_event")
        return int(count)

    def post(self, body: bytes, headers: dict[str, str], path: str = "/webhooks/alvys") -> tuple[int, Any]:
        answer = requests.post(
            f"{self.url}{path}",
            data=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=30,
        )
        return answer.status_code, answer.json()

    def deliver(
        self, event: dict[str, Any], *, age: float = 0, secret: str = SECRET, attempt: int = 1
    ) -> tuple[int, Any]:
        body = json.dumps(event).encode()
        return self.post(body, sign(body, event["id"], age=age, secret=secret, attempt=attempt))


def sign(body: bytes, id: str, *, age: float = 0, secret: str = SECRET, attempt: int = 1) -> dict[str, str]:
    t = int(time.time() - age)
    digest = hmac.new(secret.encode(), f"{t}.{id}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "X-Alvys-Event": "load.status.changed",
        "X-Alvys-Event-Id": id,
        "X-Alvys-Timestamp": str(t),
        "X-Alvys-Attempt": str(attempt),
        "X-Alvys-Signature": f"t={t},v1={digest}",
    }


def status_changed(load: dict[str, Any], status: str | None = None) -> dict[str, Any]:
    record = {"id": load["Id"], "loadNumber": load["LoadNumber"], "status": status or load["Status"]}
    return {
        "id": f"{load['Id']}-1",
        "type": "load.status.changed",
        "timestamp": "2026-05-28T20:26:40.1234567Z",
        "version": "v1",
        "data": {"load": record},
    }


@contextmanager
def running(
    command: str, *arguments: str, environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an Airflow component in its own process group, and terminate the group."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", command, *arguments],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(
    what: Callable[[], Any], process: subprocess.Popen[bytes], log: Path, *, longest: float = 60
) -> Any:
    deadline = time.monotonic() + longest
    while not (found := what()):
        assert process.poll() is None, log.read_text()[-5000:]
        assert time.monotonic() < deadline, log.read_text()[-5000:]
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def own_alvys() -> Iterator[Simulator]:
    with SteadySimulator(loads=40) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, own_alvys: Simulator) -> dict[str, str]:
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    (home / "plugins").mkdir()
    shutil.copy(ROOT / "dags_examples" / "alvys_webhooks.py", home / "dags")
    (plugin,) = code_blocks("python")[:1]
    (home / "plugins" / "alvys_webhooks.py").write_text(plugin)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (extra,) = code_blocks("json")
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        **home_settings(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of the test",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": "airflow_inbound_webhooks.db.WebhooksDBManager",
        "AIRFLOW__INBOUND_WEBHOOKS__WEBHOOK_NAMES": "alvys",
        CONNECTION: own_alvys.connection_json(),
        "AIRFLOW_CONN_WEBHOOK_ALVYS": json.dumps(
            {"conn_type": "inbound_webhook", "password": SECRET, "extra": json.loads(extra)}
        ),
    }


@pytest.fixture(scope="module")
def airflow(environment: dict[str, str], migrated: Path, forked_airflow: ForkedAirflow) -> Iterator[Airflow]:
    home, port = Path(environment["AIRFLOW_HOME"]), environment["AIRFLOW__API__PORT"]
    shutil.copy(migrated / "airflow.db", home)

    def command(*arguments: str) -> str:
        output = home / "printed.log"
        code = forked_airflow.run(arguments, environment, output)
        printed = output.read_text()
        assert code == 0, printed
        return printed

    # Migrates the receiver's tables too.
    command("db", "migrate")
    command("dags", "reserialize")
    command("dags", "unpause", DAG)
    log = home / "api-server.log"
    with running("api-server", "--workers", "1", environment=environment, log=log) as process:
        airflow = Airflow(home, int(port), command)

        def is_up() -> bool:
            try:
                return requests.get(f"{airflow.url}/webhooks/_health", timeout=5).ok
            except requests.ConnectionError:
                return False

        wait_for(is_up, process, log)
        yield airflow


@pytest.fixture
def load(own_alvys: Simulator) -> dict[str, Any]:
    """A delivered load."""
    own_alvys.change(rows=1, columns={"Status": "Delivered"})
    rows = map(json.loads, own_alvys.truth_rows(filters='{"Status": ["Delivered"]}'))
    return next(iter(rows))


def test_the_handshake_is_answered(airflow: Airflow) -> None:
    headers = {
        "X-Alvys-Event": "webhook.verification",
        "X-Alvys-Challenge": "a-b",
        "User-Agent": "Alvys-Webhook/1.0",
    }
    body = b'{"type": "webhook.verification", "challenge": "a-b"}'
    assert airflow.post(body, headers) == (200, {"challenge": "a-b"})
    assert airflow.post(b"{}", {"X-Alvys-Event": "webhook.verification"})[0] == 400


def test_an_unsigned_delivery_is_refused(airflow: Airflow, load: dict[str, Any]) -> None:
    known = airflow.event_count()
    event = status_changed(load)
    body = json.dumps(event).encode()
    refused = (401, {"detail": "Invalid webhook credentials"})
    assert airflow.post(body, {}) == refused
    assert airflow.deliver(event, secret="another") == refused
    assert airflow.deliver(event, age=400) == refused
    assert airflow.deliver(event, age=-400) == refused
    assert airflow.post(body.replace(b"Delivered", b"Cancelled"), sign(body, event["id"])) == refused
    # A forged signature for the receiver is refused too, for any spelling of the path.
    checked = {"X-Alvys-Checked": hmac.new(b"a guess", body, hashlib.sha256).hexdigest()}
    for path in (
        "/webhooks/alvys",
        "/webhooks/alvys/",
        "//webhooks/alvys",
        "/webhooks/%61lvys",
        "/webhooks/alvys?a=b",
    ):
        assert airflow.post(body, checked, path)[0] in (401, 404, 405, 503)
    assert airflow.post(b"a" * 2**20 + b"a", {})[0] == 413
    signed_list = b"[]"
    assert airflow.post(signed_list, sign(signed_list, "1"))[0] == 400
    assert airflow.event_count() == known


def test_a_delivery_starts_the_example_once(
    airflow: Airflow, environment: dict[str, str], own_alvys: Simulator, load: dict[str, Any]
) -> None:
    known = airflow.event_count()
    event = status_changed(load)
    accepted = {"delivery_id": event["id"], "outcome": "accepted"}
    assert airflow.deliver(event) == (202, accepted)
    # A retry of Alvys, and a replay by someone else.
    for attempt in (2, 1):
        assert airflow.deliver(event, attempt=attempt) == (200, {**accepted, "outcome": "duplicate"})
    ((extra,),) = airflow.query(f"SELECT extra FROM asset_event ORDER BY id LIMIT -1 OFFSET {known}")
    assert json.loads(extra)["payload"] == event
    log = airflow.home / "scheduler.log"
    states = f"SELECT state FROM dag_run WHERE dag_id = '{DAG}' AND state IN ('success', 'failed')"
    with running("scheduler", environment=environment, log=log) as process:
        assert wait_for(lambda: airflow.query(states), process, log) == [("success",)]
    (found,) = [value for task, value in read_xcoms(airflow.command, DAG) if task == "look_up"]
    # A run takes all events since the last one, those of other tests too.
    (entry,) = [entry for entry in found if entry["Id"] == load["Id"]]
    assert {name: entry[name] for name in ("Id", "LoadNumber", "Status")} == {
        "Id": load["Id"],
        "LoadNumber": load["LoadNumber"],
        "Status": "Delivered",
    }
    assert sum(count for call, count in own_alvys.stats()["requests"].items() if "load" in call) == len(found)


@pytest.mark.skipif(not hasattr(Simulator, "deliver"), reason="this simulator sends nothing")
def test_a_webhook_of_the_simulator_works_from_the_handshake_on(
    airflow: Airflow, own_alvys: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION, own_alvys.connection_json())
    hook, url = AlvysHook(), f"{airflow.url}/webhooks/alvys"
    request = {"Name": "w", "SubsidiaryId": "s", "Url": url, "Events": ["load.changed"]}
    made = hook.request("POST", "webhooks", json=request).json()
    assert hook.request("POST", f"webhooks/{made['Id']}/enable").json()["Status"] == "Active"
    own_alvys.subscribe(url, secret=SECRET, events=["load.status.changed"])
    known = airflow.event_count()
    (key,) = own_alvys.change(where={"Status": "Covered"}, rows=1, columns={"Status": "Delivered"})
    statuses = {attempt["event_type"]: attempt["status"] for attempt in own_alvys.deliveries()}
    # The first webhook's secret differs from the connection's.
    assert statuses == {"load.changed": 401, "load.status.changed": 202}
    assert own_alvys.deliver(secret="another")["status"] == 401
    assert own_alvys.deliver(age=400)["status"] == 401
    assert own_alvys.deliver(body="{}")["status"] == 401
    (extra,) = airflow.query(f"SELECT extra FROM asset_event ORDER BY id LIMIT -1 OFFSET {known}")[0]
    assert json.loads(extra)["payload"]["data"]["load"]["id"] == key
