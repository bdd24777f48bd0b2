"""Fixtures: a temporary Airflow home, made before Airflow is imported; a simulated Alvys; clocks."""

from __future__ import annotations

import atexit
import itertools
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

AIRFLOW_HOME = tempfile.mkdtemp(prefix="alvys-tests-")
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith(("AIRFLOW", "ALVYS"))]:
    del os.environ[name]
os.environ["AIRFLOW_HOME"] = AIRFLOW_HOME
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from airflow.sdk._shared.secrets_masker import _secrets_masker  # noqa: E402

from airflow_provider_alvys.api import scrubbing  # noqa: E402
from airflow_provider_alvys.api.http import auth, pacing, shared_pace  # noqa: E402
from airflow_provider_alvys.api.http.auth import make_credentials  # noqa: E402
from airflow_provider_alvys.api.http.client import AlvysClient  # noqa: E402
from airflow_provider_alvys.api.http.clock import Clock  # noqa: E402
from airflow_provider_alvys.api.http.pacing import Pacer  # noqa: E402
from airflow_provider_alvys.hooks.alvys import AlvysHook  # noqa: E402
from airflow_provider_alvys.simulator.process import Simulator  # noqa: E402
from airflow_provider_alvys.transfers.alvys_to_object_storage import AlvysToObjectStorageOperator  # noqa: E402
from tests.forked_airflow import ForkedAirflow, home_settings  # noqa: E402

ROOT = Path(__file__).parent.parent
CONNECTION = "AIRFLOW_CONN_ALVYS_DEFAULT"
SECRET = "s3cret-of-the-simulator"
# A Tuesday afternoon in the time zones of the simulated company, 2026-11-24T20:00:00Z.
A_WORKING_DAY = 1_795_550_400.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what needs Airflow's command line, a bucket or a database server, for make test-quick."""
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        needed = {
            *getattr(item, "fixturenames", ()),
            *(value for value in parameters if isinstance(value, str)),
        }
        if needed & {"forked_airflow", "bucket", "s3", "duckdb", "postgres"}:
            item.add_marker("slow")


class SkippingClock(Clock):
    """A clock that returns the real time plus all sleeps, and never sleeps."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def time(self) -> float:
        return super().time() + sum(self.sleeps)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


class StoppedClock(SkippingClock):
    """A clock that moves only by its sleeps."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        super().__init__()
        self.now = now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self.now += seconds


class SteadySimulator(Simulator):
    """
    A simulator whose company begins at the same time in every run, unless a test sets ``now``.

    Which loads are where depends on the hour and on the day of the week, and so would the tests.
    """

    def reset(self, **options: Any) -> None:
        super().reset(**{"now": A_WORKING_DAY, **options})


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test like a new process: no token, pace or masked secrets; and do not wait for the disk."""
    monkeypatch.setattr(auth, "_sources", {})
    monkeypatch.setattr(pacing, "_pacers", {})
    pace_folder = f"{AIRFLOW_HOME}/pace-{uuid4()}"
    monkeypatch.setattr(shared_pace, "pace_folder", lambda: pace_folder)
    monkeypatch.setattr(scrubbing, "_secrets", {})
    monkeypatch.setattr(scrubbing, "_known", ())
    monkeypatch.setattr(os, "fsync", lambda _: None)
    forget_secrets()


def forget_secrets() -> None:
    """Reset Airflow's secrets masker, which compiles a pattern of all secrets for each new secret."""
    _secrets_masker().reset_masker()


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with SteadySimulator(loads=0) as simulator:
        yield simulator


@pytest.fixture
def alvys(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A simulated Alvys with 450 loads, and the connection alvys_default to it, without a pace."""
    simulator.reset(loads=450)
    monkeypatch.setenv(CONNECTION, simulator.connection_json(requests_per_minute=0))
    return simulator


@pytest.fixture
def connect(alvys: Simulator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set extra fields of the connection alvys_default."""

    def connect(**extra: Any) -> None:
        monkeypatch.setenv(CONNECTION, alvys.connection_json(**{"requests_per_minute": 0, **extra}))

    return connect


@pytest.fixture
def clock() -> SkippingClock:
    return SkippingClock()


class QuickHook(AlvysHook):
    """A hook with a clock of the test's choice."""

    def __init__(self, clock: Clock, alvys_conn_id: str = AlvysHook.default_conn_name) -> None:
        super().__init__(alvys_conn_id)
        self._clock = clock

    def _make_client(self, **options: Any) -> AlvysClient:
        pacer = Pacer(self.settings.requests_per_minute, clock=self._clock)
        return super()._make_client(**{"pacer": pacer, "clock": self._clock, **options})


@pytest.fixture
def hook(alvys: Simulator, clock: SkippingClock) -> QuickHook:
    return QuickHook(clock)


@pytest.fixture
def client(alvys: Simulator, clock: SkippingClock) -> AlvysClient:
    return make_client(alvys, clock=clock)


def make_client(
    alvys: Simulator, *, clock: Clock, requests_per_minute: float | None = 0, **options: Any
) -> AlvysClient:
    credentials = make_credentials(
        alvys.options.client_id, alvys.options.client_secret, auth_url=f"{alvys.url}/oauth/token"
    )
    return AlvysClient(
        credentials,
        host=alvys.url,
        clock=clock,
        pacer=Pacer(requests_per_minute, clock=clock),
        **options,
    )


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture(scope="session")
def bucket() -> Iterator[Any]:
    """An S3 bucket "lake" and its connection aws_lake; shared, because Airflow caches file systems."""
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    from moto import backends
    from moto.server import ThreadedMotoServer

    # For each request the server would look through moto's folders, and write a line of log.
    modules = tuple(backends.list_of_moto_modules())
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket="lake")
    connection = {
        "conn_type": "aws",
        "login": "a",
        "password": "b",
        "extra": {"endpoint_url": url, "region_name": "us-east-1"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_AWS_LAKE", json.dumps(connection))
        patch.setattr(backends, "list_of_moto_modules", lambda: modules)
        yield client
    server.stop()


Land = Callable[..., dict[str, Any]]


@pytest.fixture
def land(hook: QuickHook, lake: Path) -> Land:
    """Execute an AlvysToObjectStorageOperator, by default for all loads, as a run of its own."""

    def land(
        context: dict[str, Any] | None = None, *, rendered: Any = None, **arguments: Any
    ) -> dict[str, Any]:
        arguments = {
            "stream": "loads",
            "path": str(lake),
            "initial_since": "2020-01-01T00:00:00Z",
            **arguments,
        }
        operator = AlvysToObjectStorageOperator(task_id="land", **arguments)
        operator.hook = hook
        for name, value in arguments.items():
            # Airflow renders the template before it executes the task.
            if value == "{{ x }}":
                setattr(operator, name, rendered)
        return operator.execute(context or {})

    return land


class DataSet:
    """A data set on local disk or in a bucket, with access to its files."""

    def __init__(self, path: str, mirror: Path, bucket: Any = None) -> None:
        self.path = path
        self._mirror = mirror
        self._bucket = bucket
        # The ETag of each copied object.
        self._copied: dict[Path, str] = {}

    def files(self) -> Path:
        """Return the data set's folder; for a bucket, a folder with a copy."""
        if self._bucket is None:
            return self._mirror
        self._mirror.mkdir(parents=True, exist_ok=True)
        prefix = self.path.split("@lake/")[1] + "/"
        found = {}
        for page in self._bucket.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=prefix):
            for entry in page.get("Contents", ()):
                target = self._mirror / entry["Key"].removeprefix(prefix)
                found[target] = entry["ETag"]
                if self._copied.get(target) == entry["ETag"]:
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self._bucket.get_object(Bucket="lake", Key=entry["Key"])["Body"].read())
        for target in self._copied.keys() - found.keys():
            target.unlink()
        self._copied = found
        return self._mirror

    def below(self, name: str) -> DataSet:
        """Return a data set in a folder of this one."""
        return DataSet(f"{self.path}/{name}", self._mirror / name, self._bucket)

    def file(self, url: str) -> Path:
        """Return the local path of a file, given its URL."""
        return self.files() / url.removeprefix(self.path + "/")

    def write(self, file: Path, content: bytes | None) -> None:
        """Overwrite a file from :meth:`files`, or remove it."""
        if self._bucket is not None:
            key = f"{self.path.split('@lake/')[1]}/{file.relative_to(self._mirror)}"
            if content is None:
                self._bucket.delete_object(Bucket="lake", Key=key)
            else:
                self._bucket.put_object(Bucket="lake", Key=key, Body=content)
        elif content is None:
            file.unlink()
        else:
            file.write_bytes(content)


@pytest.fixture(params=["local", "s3"])
def data_set(request: pytest.FixtureRequest, tmp_path: Path) -> DataSet:
    """An empty data set on local disk, and one on S3."""
    if request.param == "local":
        return DataSet(str(tmp_path / "lake"), tmp_path / "lake")
    bucket = request.getfixturevalue("bucket")
    return DataSet(f"s3://aws_lake@lake/{tmp_path.name}", tmp_path / "mirror", bucket)


Airflow = Callable[..., str]


def read_xcoms(airflow: Airflow, dag_id: str, key: str = "return_value") -> list[tuple[str, Any]]:
    """Return the task ids and values of a DAG's XComs."""
    printed = airflow(str(ROOT / "tests" / "print_xcoms.py"), dag_id, key)
    lines = [line for line in printed.splitlines() if line.startswith("XCOM ")]
    return [tuple(json.loads(line.removeprefix("XCOM "))) for line in lines]


@pytest.fixture(scope="session")
def forked_airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedAirflow]:
    with ForkedAirflow({**os.environ, "AIRFLOW_HOME": str(tmp_path_factory.mktemp("forked"))}) as forked:
        yield forked


@pytest.fixture(scope="session")
def migrated(forked_airflow: ForkedAirflow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Airflow home with a migrated database, to be copied."""
    home = tmp_path_factory.mktemp("migrated")
    printed = home / "migrate.log"
    assert forked_airflow.run(("db", "migrate"), {**os.environ, **home_settings(home)}, printed) == 0, (
        printed.read_text()
    )
    return home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def own_alvys() -> Iterator[Simulator]:
    with SteadySimulator(loads=300, client_secret=SECRET) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def airflow(
    request: pytest.FixtureRequest,
    home: Path,
    migrated: Path,
    own_alvys: Simulator,
    forked_airflow: ForkedAirflow,
) -> Airflow:
    """
    Run an Airflow command in the module's home, with logs at DEBUG, and return its output.

    The DAGs are the examples and the texts in the module's ``DAGS``.
    """
    environment = {
        **os.environ,
        **home_settings(home),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        CONNECTION: own_alvys.connection_json(),
        "ALVYS_LAKE": str(home / "lake"),
        "ALVYS_OVERLAP_SECONDS": "1",
        "ALVYS_SETTLING_SECONDS": "1",
    }

    numbers = itertools.count()

    def airflow(*arguments: str, succeeds: bool = True, **more: str) -> str:
        output = home / f"printed-{next(numbers)}.log"
        code = forked_airflow.run(arguments, {**environment, **more}, output)
        printed = output.read_text()
        assert (code == 0) == succeeds, printed[-8000:]
        return printed

    shutil.copytree(ROOT / "dags_examples", home / "dags")
    for name, text in getattr(request.module, "DAGS", {}).items():
        (home / "dags" / f"{name}.py").write_text(text)
    shutil.copy(migrated / "airflow.db", home)
    return airflow
