"""A night: DAGs, a data set and a database beside a simulated Alvys, at times that only the night moves."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import random
import re
import runpy
import shlex
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from airflow.sdk import DAG

from airflow_provider_alvys import alvys_sync
from airflow_provider_alvys.__main__ import main
from airflow_provider_alvys._compat import AirflowSkipException
from airflow_provider_alvys.api.errors import is_hopeless
from airflow_provider_alvys.api.http import auth
from airflow_provider_alvys.api.http.clock import Clock
from airflow_provider_alvys.api.http.pacing import Pacer
from airflow_provider_alvys.cli import check, cursor, status
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.hooks.settings import make_client
from airflow_provider_alvys.landing import freshness
from airflow_provider_alvys.simulator.process import Simulator
from scripts.runbook.page import Section
from scripts.troubles.bench import A_TUESDAY

HOURLY, DAILY, NIGHTLY = "alvys_hourly", "alvys_daily", "alvys_nightly_check"
_HOST = "integrations.alvys.com"
_ROOT = Path(__file__).parent.parent.parent
_COMPANY: dict[str, Any] = {"loads": 60, "fleet": 8, "now": A_TUESDAY}
_RETRY_DELAY = timedelta(minutes=5)
# What differs from night to night.
_REQUEST_ID = re.compile(r" \(request [^)]+\)")


class NightClock(Clock):
    """
    A clock that stands still, except for its sleeps, and takes the clock of Alvys with it.

    :param on_minute: called for each minute that passes.
    """

    def __init__(self, alvys: Simulator) -> None:
        self._alvys = alvys
        self.now = A_TUESDAY
        self.on_minute: Callable[[], None] | None = None
        self.move(0)

    def time(self) -> float:
        """Return the time of the night."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.on_minute and self.now + 60 <= end:
            self.move(60)
            self.on_minute()
        self.move(end - self.now)

    def move(self, seconds: float) -> None:
        """Move both clocks."""
        self.now += seconds
        self._alvys.set_clock(self.now, stopped=True)


class _Datetime(datetime):
    """A class of times whose ``now`` is that of the night."""

    clock: Clock

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """Return the time of the night."""
        return datetime.fromtimestamp(cls.clock.time(), tz)


class TaskEnded(BaseException):
    """Somebody has marked a running task as failed."""


class _Log(logging.Handler):
    """Keeps the lines of one attempt."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, except for Airflow's own about the process."""
        if "outside of the Task Runner" in record.getMessage():
            return
        level = "" if record.levelno == logging.INFO else f"{record.levelname} "
        self.lines.append(f"{level}{record.getMessage()}")


@dataclass
class TaskRun:
    """A task of a run: its state in Airflow, the log of all attempts, and what it returned."""

    state: str
    log: list[str] = field(default_factory=list)
    result: Any = None


@dataclass
class Run:
    """A run of a DAG."""

    dag_id: str
    run_after: datetime
    kind: str = "scheduled"
    tasks: dict[str, TaskRun] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """Its id in Airflow."""
        return f"{self.kind}__{self.run_after.isoformat()}"


@dataclass
class Night:
    """
    What a case is played with.

    ``/data/alvys`` on the page is a folder of the night, and the connection ``warehouse`` a file of SQLite.

    :param section: of the page, whose blocks the case takes.
    """

    alvys: Simulator
    folder: Path
    section: Section
    environment: dict[str, str]
    clock: NightClock
    runs: list[Run] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    pools: set[str] = field(default_factory=lambda: {"default_pool"})
    # The code of the DAGs that the page changes.
    changed_dags: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The root of the data set."""
        return self.folder / "alvys"

    @property
    def warehouse(self) -> Path:
        """The file of the database."""
        return self.folder / "warehouse.db"

    def connect(self, **extra: Any) -> None:
        """Save the connections, as the form of Airflow does."""
        self.environment["AIRFLOW_CONN_ALVYS_DEFAULT"] = self.alvys.connection_json(**extra)
        self.environment["AIRFLOW_CONN_WAREHOUSE"] = json.dumps(
            {"conn_type": "sqlite", "host": str(self.warehouse)}
        )

    def restart_alvys(self, **options: Any) -> None:
        """Begin with another Alvys of the same company, such as one with other secrets or scopes."""
        self.alvys.reset(**{**_COMPANY, **options})
        self.clock.move(0)

    def pass_hours(self, hours: int = 1) -> None:
        """Let the company work until the next hours, and run what is due then, unless it is paused."""
        for _ in range(hours):
            seconds = 3600 - self.clock.now % 3600
            self.alvys.advance(hours=seconds / 3600)
            self.clock.move(seconds)
            if HOURLY not in self.paused:
                self.run(HOURLY)

    def run(self, dag_id: str, kind: str = "scheduled") -> Run:
        """Run a DAG at this time."""
        run = Run(dag_id, datetime.fromtimestamp(self.clock.now, timezone.utc), kind)
        self.runs.append(run)
        if dag_id == NIGHTLY:
            self._run_nightly_check(run)
        else:
            self._run_tasks(run, lambda task_id: True)
        return run

    def cursor_file(self) -> Path:
        """Return the cursor of loads."""
        (file,) = self.path.glob("loads/_cursor-*.json")
        return file

    def move_cursor(self, until: str) -> None:
        """Set the cursor of loads, as if by hand."""
        file = self.cursor_file()
        file.write_text(json.dumps({**json.loads(file.read_text()), "until": until}))

    def execute_sql(self, statement: str) -> None:
        """Run a statement in the database, as another program."""
        with closing(sqlite3.connect(self.warehouse)) as database, database:
            database.execute(statement)

    def clear_failed(self, dag_id: str, since: datetime) -> None:
        """Clear the failed tasks of a DAG in its runs since then, and run them again."""
        for run in self.runs:
            if run.dag_id == dag_id and run.run_after >= since:
                failed = {name for name, task in run.tasks.items() if "failed" in task.state}
                self._run_tasks(run, failed.__contains__)

    def _run_tasks(self, run: Run, is_chosen: Callable[[str], bool]) -> None:
        tasks: Any = self._dag(run.dag_id).topological_sort()  # type: ignore[no-untyped-call]
        for task in tasks:
            if is_chosen(task.task_id):
                before = [run.tasks[name].state for name in task.upstream_task_ids]
                if "failed" in before or "upstream_failed" in before:
                    run.tasks[task.task_id] = TaskRun("upstream_failed")
                else:
                    self._try(run, partial(self._make, run.dag_id, task.task_id))

    def _make(self, dag_id: str, task_id: str) -> Any:
        return self._dag(dag_id).get_task(task_id)

    def _run_nightly_check(self, run: Run) -> None:
        """Run the tasks of the example, with one for each repair."""
        self.environment["ALVYS_LAKE"] = str(self.path)
        example = runpy.run_path(str(_ROOT / "dags_examples" / "alvys_nightly_check.py"))
        before = self._try(run, lambda: example["compare"]).result
        for number, arguments in enumerate(example["repairs"].function(before)):
            self._try(run, partial(example["repair"].unmap, arguments), number)
        self._try(run, lambda: example["load"])
        self.clock.move(60)
        after = self._try(run, lambda: example["compare_again"]).result
        run.tasks["say"] = TaskRun("success", [example["say"].function(before, after)])

    def _try(self, run: Run, make: Callable[[], Any], map_index: int = -1) -> TaskRun:
        """Run a task, each attempt as a process of its own, until Airflow would stop trying."""
        done = TaskRun("failed")
        task = make()
        name = task.task_id if map_index < 0 else f"{task.task_id} [{map_index}]"
        run.tasks[name] = done
        for attempt in range(task.retries + 1):
            if attempt:
                self.clock.sleep(_RETRY_DELAY.total_seconds())
                task = make()
            if task.pool not in self.pools:
                done.state = "scheduled"
                break
            try:
                done.result = self._execute(task, run, done, map_index)
                done.state = "success"
                break
            except TaskEnded:
                break
            except AirflowSkipException as error:
                done.log.append(f"Skipped: {error}")
                done.state = "skipped"
                break
            except Exception as error:
                done.log.append(f"{_name_of(error)}: {error}")
                if is_hopeless(error):
                    break
        return done

    def _execute(self, task: Any, run: Run, done: TaskRun, map_index: int) -> Any:
        context: Any = {
            "dag_run": SimpleNamespace(run_after=run.run_after),
            "macros": SimpleNamespace(timedelta=timedelta),
            "run_id": run.run_id,
            "ti": SimpleNamespace(
                dag_id=run.dag_id,
                task_id=task.task_id,
                map_index=map_index,
                xcom_push=lambda key, value: setattr(done, "result", value),
            ),
        }
        handler, logger = _Log(), logging.getLogger("airflow_provider_alvys")
        logger.addHandler(handler)
        try:
            with (
                mock.patch.object(auth, "_sources", {}),
                mock.patch.object(type(task), "log", logging.getLogger("airflow_provider_alvys.task")),
            ):
                task.render_template_fields(context)
                return task.execute(context)
        finally:
            logger.removeHandler(handler)
            done.log += handler.lines

    def _dag(self, dag_id: str) -> DAG:
        if code := self.changed_dags.get(dag_id):
            names: dict[str, Any] = {}
            exec(compile(code, "docs/runbook.md", "exec"), names)
            changed: DAG = names["dag"]
            return changed
        with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
            alvys_sync(
                streams=["loads"] if dag_id == HOURLY else ["invoices"],
                path=str(self.path),
                initial_since="2026-08-01T00:00:00Z",
                sql_conn_id="warehouse",
                default_args={"retries": 2},
            )
        return dag

    def test_button(self) -> str:
        """Return what the Test button of the connection answers."""
        with mock.patch.object(auth, "_sources", {}):
            return self.plain(AlvysHook().test_connection()[1])

    def show_run(self, *starts: str, dag_id: str = HOURLY, has_states: bool = True) -> str:
        """Show the tasks of the last run of a DAG, and the last lines of their logs with these starts."""
        run = [run for run in self.runs if run.dag_id == dag_id][-1]
        lines = [f"{name}: {task.state}" for name, task in run.tasks.items() if has_states]
        for start in starts:
            found = [line for task in run.tasks.values() for line in task.log if line.startswith(start)]
            if not found:
                raise ValueError(f"No line begins with {start!r}: {[t.log for t in run.tasks.values()]}")
            lines.append(found[-1])
        self.show("\n".join(lines))
        return "\n".join(lines)

    def show(self, output: str) -> None:
        """Show an output on the page."""
        self.section.show(self.plain(output))

    def play(self, *, is_shown: bool = True) -> str:
        """
        Run the next block of code as written, and return it.

        :param is_shown: whether the page shows what it prints, if it shows an output next.
        """
        language, code = self.section.take()
        run = {"bash": self._bash, "sql": self._sql, "python": self._python}[language]
        output = run(code.replace("/data/alvys", str(self.path)))
        if output and is_shown and self.section.shows_output():
            self.show(output)
        return code

    def _bash(self, script: str) -> str:
        lines = re.sub(r"\s*\\\n\s*", " ", script).splitlines()
        return "\n".join(filter(None, (self._command(shlex.split(line, comments=True)) for line in lines)))

    def _command(self, words: list[str]) -> str:
        if words[:3] == ["python", "-m", "airflow_provider_alvys"]:
            return _printed(words[3:])
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.environment[name] = value
            return ""
        if words[0] != "airflow":
            raise ValueError(f"Not a command of this page: {words}")
        from airflow.cli.cli_parser import get_parser

        options = get_parser().parse_args(words[1:])
        match words[1:3]:
            case ["tasks", "clear"] if options.only_failed and options.start_date and options.yes:
                self.clear_failed(options.dag_id, options.start_date)
            case ["dags", "trigger"]:
                self.clock.move(300)
                self.run(options.dag_id, "manual")
            case ["dags", "unpause"]:
                self.paused.discard(options.dag_id)
            case ["pools", "set"]:
                self.pools.add(options.pool)
            case _:
                raise ValueError(f"Not a command of this page: {words}")
        return ""

    def _sql(self, statement: str) -> str:
        with closing(sqlite3.connect(self.warehouse)) as database, database:
            # The view of freshness compares with the database's own time.
            database.create_function("strftime", 2, self._strftime)
            cursor = database.execute(statement)
            if cursor.description is None:
                return ""
            rows = [tuple(name for name, *_ in cursor.description), *cursor.fetchall()]
        widths = [max(len(str(row[at])) for row in rows) for at in range(len(rows[0]))]
        lines = [
            "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
        return "\n".join(lines) if rows[1:] else "(no rows)"

    def _strftime(self, form: str, time: str) -> str | None:
        if time is None:
            return None
        if time == "now":
            return f"{self.clock.now:.0f}"
        return f"{datetime.fromisoformat(time[:19]).replace(tzinfo=timezone.utc).timestamp():.0f}"

    def _python(self, code: str) -> str:
        printed = io.StringIO()
        names: dict[str, Any] = {"__name__": "docs"}
        with redirect_stdout(printed):
            exec(compile(code, "docs/runbook.md", "exec"), names)
        if "dag" in names:
            self.changed_dags[names["dag"].dag_id] = code
        return printed.getvalue()

    def plain(self, text: str) -> str:
        """Return a text with the names of a real Alvys."""
        address = self.alvys.url.partition("://")[2]
        for name, instead in (
            (f"http://{address}", f"https://{_HOST}"),
            (address, _HOST),
            (str(self.folder), "/data"),
        ):
            text = text.replace(name, instead)
        return _REQUEST_ID.sub("", text)


def _name_of(error: Exception) -> str:
    return next(base.__name__ for base in type(error).__mro__ if not base.__name__.startswith("_"))


def _printed(arguments: list[str]) -> str:
    """Return what a command prints, its rows and its sentences."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), contextlib.suppress(SystemExit):
        main(arguments)
    return printed.getvalue()


@contextmanager
def begin(alvys: Simulator, folder: Path, section: Section) -> Iterator[Night]:
    """Begin a night."""

    def make(hook: AlvysHook, **options: Any) -> Any:
        pacer = Pacer(hook.settings.requests_per_minute, clock=clock)
        return make_client(hook.settings, **{"pacer": pacer, "clock": clock, **options})

    folder.mkdir(parents=True, exist_ok=True)
    alvys.reset(**_COMPANY)
    clock = NightClock(alvys)
    _Datetime.clock = clock
    random.seed(1)
    with ExitStack() as stack:
        environment = stack.enter_context(mock.patch.dict("os.environ"))
        stack.enter_context(mock.patch.object(AlvysHook, "_make_client", make))
        for module in (check, cursor, status, freshness):
            stack.enter_context(mock.patch.object(module, "datetime", _Datetime))
        night = Night(alvys, folder, section, environment, clock)
        night.connect()
        yield night
