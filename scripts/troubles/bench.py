"""The bench on which troubles are provoked: a simulator, a folder, a clock that never waits, and the log."""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from airflow_provider_alvys import (
    AlvysObjectStorageToSqlOperator,
    AlvysToObjectStorageOperator,
    AlvysUploadDocumentOperator,
)
from airflow_provider_alvys.api.http import auth, pacing
from airflow_provider_alvys.api.http.clock import Clock
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.simulator.process import Simulator

_HOST = "integrations.alvys.com"
# What differs from run to run.
_VARIABLE = (
    (re.compile(r"(?<=alvys-pace-)\d+"), "1000"),
    (re.compile(r"(?<=run duration of )[\d.]+"), "60.0"),
    # First: its digits may look like an id.
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "2026-11-24T05:04:00Z"),
    (re.compile(r"\d{8}T\d{6}Z"), "20261124T050400Z"),
    (re.compile(r"/\d{4}-\d\d-\d\d/"), "/2026-11-24/"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "8f14e45fceea167a5a36dedd4bea2543"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "59ac79331c3e9046"),
    (re.compile(r"\(request [^)]+\)"), "(request 8f14e45f)"),
    (re.compile(r"(?<=Retrying in )[\d.]+"), "1.5"),
    (re.compile(r"(?<=IncompleteRead\()\d+ bytes read, \d+"), "1000 bytes read, 2000"),
    (re.compile(r"(?<=next poll in )\d+"), "60"),
    (re.compile(r"(?<=Signed )\d+"), "900"),
    # Without a network, names cannot be resolved in another way.
    (re.compile(r"(?<=gaierror: )\[Errno -\d\] [\w ]+"), "[Errno -2] Name or service not known"),
)


class InstantClock(Clock):
    """A clock that skips its sleeps."""

    def __init__(self) -> None:
        self._slept = 0.0

    def time(self) -> float:
        """Return the real time plus all sleeps."""
        return super().time() + self._slept

    def sleep(self, seconds: float) -> None:
        """Skip a wait."""
        self._slept += seconds


class _Hook(AlvysHook):
    """A hook that waits for nothing, at the pace of the documented limits."""

    clock: Clock

    def _make_client(self, **options: Any) -> Any:
        pacer = Pacer(self.settings.requests_per_minute, clock=self.clock)
        return super()._make_client(**{"pacer": pacer, "clock": self.clock, **options})


class _Records(logging.Handler):
    """Keeps warnings and errors."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.kept.append(record)


@dataclass
class Bench:
    """What a trouble is provoked with. ``path`` is the root of an empty data set."""

    alvys: Simulator
    folder: Path
    environment: MutableMapping[str, str]
    records: list[logging.LogRecord]
    clock: InstantClock = field(default_factory=InstantClock)

    @property
    def path(self) -> str:
        """The root of the data set."""
        return str(self.folder / "alvys")

    def connect(self, *, extra: Mapping[str, Any] | str = "", **fields: Any) -> _Hook:
        """Set fields of the connection, or all of its extra as a text, and return a new hook."""
        more = {} if isinstance(extra, str) else extra
        connection = json.loads(self.alvys.connection_json(**{"requests_per_minute": 0, **more}))
        connection["extra"] = extra if extra and isinstance(extra, str) else connection["extra"]
        self.environment["AIRFLOW_CONN_ALVYS_DEFAULT"] = json.dumps(connection | fields)
        hook = _Hook()
        hook.clock = self.clock
        return hook

    def run(self, task: Any, hook: AlvysHook | None = None) -> Any:
        """Execute a task."""
        task.hook = hook or self.connect()
        # Outside of a run, Airflow's own log of a task does not reach logging.
        with mock.patch.object(type(task), "log", logging.getLogger("airflow_provider_alvys.task")):
            return task.execute({})

    def sync(self, stream: str = "loads", *, hook: AlvysHook | None = None, **arguments: Any) -> Any:
        """Land a stream."""
        if not {"since", "window_by"} & set(arguments):
            arguments = {"initial_since": "2020-01-01T00:00:00Z", **arguments}
        return self.run(
            AlvysToObjectStorageOperator(task_id="land", stream=stream, path=self.path, **arguments), hook
        )

    def load(self, stream: str = "loads", **arguments: Any) -> Any:
        """Load a landed stream into a SQLite file."""
        self.environment["AIRFLOW_CONN_DB"] = json.dumps(
            {"conn_type": "sqlite", "host": f"{self.folder}/warehouse.db"}
        )
        arguments = {"sql_conn_id": "db", "path": self.path, **arguments}
        return AlvysObjectStorageToSqlOperator(task_id="load", stream=stream, **arguments).execute({})

    def sql(self, statement: str) -> None:
        """Run a statement in that file."""
        with closing(sqlite3.connect(f"{self.folder}/warehouse.db")) as database, database:
            database.execute(statement)

    def file(self, pattern: str) -> Path:
        """Return the newest file of the data set whose path matches."""
        return max(Path(self.path).glob(pattern), key=lambda file: file.stat().st_mtime_ns)

    def upload(self, content: bytes) -> AlvysUploadDocumentOperator:
        """Return a task that uploads a file to a load."""
        file = self.folder / "pod.pdf"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return AlvysUploadDocumentOperator(
            task_id="upload",
            parent_type="load",
            parent_id=self.load_number(),
            path=str(file),
            document_type="Proof of Delivery",
        )

    def load_number(self) -> str:
        """Return the number of a load."""
        return str(json.loads(self.alvys.truth_rows()[0])["LoadNumber"])

    def fail(self, times: int = 99, **fault: Any) -> None:
        """Make requests fail."""
        self.alvys.order_faults({"times": times, **fault})

    def warned(self, start: str) -> list[logging.LogRecord]:
        """Return the warning whose text starts with a text, and the lines that the same function adds."""
        starts = (at for at, record in enumerate(self.records) if record.getMessage().startswith(start))
        first, *others = self.records[next(starts) :]
        return [
            first,
            *takewhile(lambda one: one.funcName == first.funcName and one.msg != first.msg, others),
        ]


@dataclass(frozen=True)
class Trouble:
    """
    A trouble and its function.

    :param cause: first paragraph of the function's docstring; the heading on the page.
    :param advice: the other paragraphs.
    """

    name: str
    cause: str
    advice: str
    provoke: Callable[[Bench], Any]


@dataclass(frozen=True)
class Provoked:
    """
    What a user sees.

    :param error: the exception, if the trouble raises one.
    :param records: the records of the log, if the trouble is a warning: one for each line.
    :param text: the text on the page.
    """

    error: Exception | None
    records: list[logging.LogRecord]
    text: str


def troubles_of(module: ModuleType) -> list[Trouble]:
    """Return the troubles of a module, in its order."""
    functions = [
        function
        for name, function in vars(module).items()
        if getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
    ]
    found = []
    for function in functions:
        cause, _, advice = " ".join(
            line.strip() or "\n" for line in (function.__doc__ or "").strip().splitlines()
        ).partition("\n")
        found.append(Trouble(function.__name__, cause.strip(), advice.strip(), function))
    return found


# The time of the newest rows of the simulator, 2026-11-24T20:00:00Z: what the page shows must not depend on
# the hour at which it is written.
A_TUESDAY = 1_795_550_400.0


def provoke(trouble: Trouble, alvys: Simulator, folder: Path) -> Provoked:
    """Provoke a trouble on a new bench."""
    alvys.reset(loads=40, fleet=6, now=A_TUESDAY)
    with _bench(alvys, folder) as bench:
        try:
            result = trouble.provoke(bench)
        except Exception as error:
            name = next(base.__name__ for base in type(error).__mro__ if not base.__name__.startswith("_"))
            return Provoked(error, [], _plain(f"{name}: {error}", bench))
        if isinstance(result, list):
            lines = [f"{record.levelname} {record.getMessage()}" for record in result]
            return Provoked(None, result, "\n".join(_plain(line, bench) for line in lines))
        return Provoked(None, [], _plain(str(result), bench))


@contextmanager
def _bench(alvys: Simulator, folder: Path) -> Iterator[Bench]:
    handler = _Records()
    logger = logging.getLogger("airflow_provider_alvys")
    with (
        mock.patch.dict("os.environ"),
        mock.patch.object(auth, "_sources", {}),
        mock.patch.object(pacing, "_pacers", {}),
    ):
        logger.addHandler(handler)
        try:
            yield Bench(alvys, folder, os.environ, handler.kept)
        finally:
            logger.removeHandler(handler)


def _plain(text: str, bench: Bench) -> str:
    """Return a message with the names of a real Alvys and a fixed time."""
    address = bench.alvys.url.partition("://")[2]
    for name, instead in (
        (f"http://{address}", f"https://{_HOST}"),
        (address, _HOST),
        (address.replace(":", ", port "), _HOST),
        (str(bench.folder), "/data"),
    ):
        text = text.replace(name, instead)
    for pattern, value in _VARIABLE:
        text = pattern.sub(value, text)
    return " ".join(text.split())
