"""The cases, in the order of the page: what breaks, and what whoever is on call sees and does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping

import requests

from airflow_provider_alvys.simulator.options import READ_SCOPES
from scripts.runbook.night import DAILY, HOURLY, Night, TaskEnded


def expired_credentials(night: Night) -> None:
    """Alvys has another secret than the connection."""
    night.run(HOURLY)
    night.restart_alvys(client_secret="new-secret")
    night.pass_hours(2)
    night.show_run("AlvysAuthError")
    night.connect()
    night.show(night.test_button())
    night.play()
    night.play()


def a_hole(night: Night) -> None:
    """Somebody moves the cursor over two hours that no run has read."""
    night.run(HOURLY)
    night.paused.add(HOURLY)
    night.pass_hours(2)
    night.alvys.add(stream="loads", rows=3)
    night.alvys.change(rows=2, columns={"PONumber": "4711"})
    night.pass_hours()
    night.move_cursor("2026-11-24T22:59:00Z")
    night.paused.clear()
    night.pass_hours()
    night.play()
    night.play()
    night.play()
    night.show(night.runs[-1].tasks["say"].log[-1])


def a_lost_cursor(night: Night) -> None:
    """The cursor's file is deleted."""
    night.run(HOURLY)
    night.pass_hours(2)
    night.cursor_file().unlink()
    night.connect(page_size=5)
    night.clock.on_minute = _end_task
    night.pass_hours()
    night.show_run("WARNING No cursor", "WARNING Reading all", "Reading loads", "Waiting", has_states=False)
    night.clock.on_minute = None
    night.connect()
    night.play()
    night.play(is_shown=False)
    night.show_run("Continuing", "Reading", "Landed")


def _end_task() -> None:
    raise TaskEnded


def a_dropped_table(night: Night) -> None:
    """A table is dropped, and then once more together with files that it was loaded from."""
    night.run(HOURLY)
    night.pass_hours(2)
    night.execute_sql("DROP TABLE loads")
    night.play()
    night.show_run("WARNING Loading", "WARNING Reason: loads did", "Loading")
    night.execute_sql("DROP TABLE loads")
    shutil.rmtree(next(night.path.glob("loads/*/20260801T*")))
    night.pass_hours()
    error = night.show_run("AlvysTableError")
    night.play()
    statement = night.play().strip()
    if statement not in error:
        raise ValueError(f"The page has another statement than the message: {error}")
    night.play()
    night.play()


def blocked_by_the_limit(night: Night) -> None:
    """The connection has a pace that Alvys does not allow."""
    night.restart_alvys(limits=True)
    night.connect(requests_per_minute=600, page_size=5)
    night.run(HOURLY)
    night.show_run("WARNING Rate-limited", "WARNING requests_per_minute", "Landed")
    night.connect(page_size=5)
    night.play()
    night.play()
    night.move_cursor("2026-08-01T00:00:00Z")
    night.pass_hours()
    night.play()


def someone_else_on_the_budget(night: Night) -> None:
    """Another program sends five searches a minute with the same client id."""
    night.restart_alvys(limits=True)
    night.connect(page_size=3)
    night.clock.on_minute = _send_searches(night, 5)
    night.run(HOURLY)
    night.show_run("WARNING Rate-limited", "WARNING Something else", "Landed")
    night.connect(page_size=3, requests_per_minute=4)
    night.move_cursor("2026-08-01T00:00:00Z")
    night.pass_hours()
    night.show_run("Reading", "Waiting", "Landed")


def _send_searches(night: Night, times: int) -> Callable[[], None]:
    def send() -> None:
        token = night.alvys.tokens()[-1]
        for _ in range(times):
            requests.post(
                f"{night.alvys.url}/api/p/v1/loads/search",
                json={"Page": 0, "PageSize": 1},
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )

    return send


def a_stream_that_stays_open(night: Night) -> None:
    """Invoices are entered while they are read."""
    night.alvys.order_mutations({"kind": "join", "rows": 1, "stream": "invoices", "times": 30})
    night.run(DAILY)
    night.show_run("Landed", "WARNING Some", "WARNING Cursor", dag_id=DAILY)
    night.play()
    night.play()
    night.show_run("Landed", "Cursor advanced", dag_id=DAILY)


def a_lost_scope(night: Night) -> None:
    """The API client may not read invoices any more."""
    night.run(DAILY)
    night.restart_alvys(scopes=READ_SCOPES.replace("invoice:read ", ""))
    night.clock.move(24 * 3600)
    night.run(DAILY)
    night.show_run("AlvysPermissionError", dag_id=DAILY)
    night.restart_alvys()
    night.show(night.test_button())
    night.play()
    night.play()


def a_late_stream(night: Night) -> None:
    """Nobody has unpaused a DAG."""
    night.run(HOURLY)
    night.pass_hours()
    night.paused.add(HOURLY)
    night.pass_hours(5)
    for _ in range(5):
        night.play()


def is_october_complete(night: Night) -> None:
    """Nothing is missing, and a report of the company counts no cancelled loads."""
    night.run(HOURLY)
    night.pass_hours()
    for _ in range(11):
        night.play()


Case = Callable[[Night], None]
# By page and heading.
CASES: Mapping[str, Mapping[str, Case]] = {
    "runbook.md": {
        "Expired credentials": expired_credentials,
        "A hole": a_hole,
        "A lost cursor": a_lost_cursor,
        "A dropped table": a_dropped_table,
        "Blocked by the limit": blocked_by_the_limit,
        "Someone else on the budget": someone_else_on_the_budget,
        "A stream that stays open": a_stream_that_stays_open,
        "A lost scope": a_lost_scope,
        "A late stream": a_late_stream,
    },
    "trust.md": {"Is October complete, and why does it differ from Alvys?": is_october_complete},
}
