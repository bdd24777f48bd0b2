"""
Airflow's API as the status page reads it, with data of a test's choice, below a base path.

The page's own files come from the package's app, behind no login.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from playwright.sync_api import Page, Route

from airflow_provider_alvys.api.catalogue.streams import STREAMS
from airflow_provider_alvys.api.read.windows import in_seconds

URL = "http://airflow.example/base"
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=timezone.utc)


def ago(hours: float) -> str:
    return (NOW - timedelta(hours=hours)).isoformat().replace("+00:00", "Z")


def landing(stream: str, hours: float, /, *, tenant: str = "acme", **changes: Any) -> dict[str, Any]:
    """Return the extra of the event of a landing some hours ago."""
    cadence = STREAMS[stream].cadence_of(None) if stream in STREAMS else None
    return {
        **{"manifest": f"/data/alvys/{stream}/2026-11-30/run-1/_manifest.json", "path": "/data/alvys"},
        **{"stream": stream, "tenant": tenant, "rows": 25, "proof": "whole", "as_of": ago(hours)},
        **{"requests": 2, "waited": 6.1, "seconds": 9.2, "attempt": 1, "bytes": 1000},
        "cadence": in_seconds(cadence),
        **changes,
    }


@dataclass
class FakeAirflow:
    """
    The data of an Airflow.

    :param refusals: status codes of paths below ``/api/v2/``.
    :param requested: the number of requests by path.
    """

    app: Any
    assets: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    dags: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    requested: Counter[str] = field(default_factory=Counter)

    def add_dag(self, dag_id: str, **changes: Any) -> None:
        if dag_id not in {dag["dag_id"] for dag in self.dags}:
            dag = {"dag_id": dag_id, "is_paused": False, "next_dagrun_run_after": ago(-0.5)}
            self.dags.append({**dag, "timetable_summary": "0 * * * *", **changes})

    def asset(self, uri: str, dag: str = "alvys_hourly") -> int:
        """Return the id of an asset, and add it if it is missing."""
        for asset in self.assets:
            if asset["uri"] == uri:
                return int(asset["id"])
        refs = [{"dag_id": dag, "task_id": "land"}]
        self.assets.append(
            {
                **{"id": len(self.assets) + 1, "uri": uri, "producing_tasks": refs, "scheduled_dags": []},
                "last_asset_event": None,
            }
        )
        return len(self.assets)

    def emit(self, uri: str, hours: float, extra: dict[str, Any], *, dag: str = "alvys_hourly") -> None:
        """Add an event; those of an asset in their order of time."""
        event = {"id": len(self.events) + 1, "asset_id": self.asset(uri, dag), "timestamp": ago(hours)}
        source = {"source_dag_id": dag, "source_run_id": f"scheduled__{ago(hours)}"}
        self.events.append({**event, **source, "extra": extra})
        self.assets[event["asset_id"] - 1]["last_asset_event"] = event

    def land(self, stream: str, hours: float, *, dag: str = "alvys_hourly", **changes: Any) -> None:
        extra = landing(stream, hours, **changes)
        self.add_dag(dag)
        self.emit(f"{extra['path']}/{stream}", hours, extra, dag=dag)

    def load(self, stream: str, hours: float, *, dag: str = "alvys_hourly", **changes: Any) -> None:
        extra = {"stream": stream, "path": "/data/alvys", "changed": 5, "seconds": 1, **changes}
        self.emit(f"alvys-table://warehouse/{stream}", hours, extra, dag=dag)

    def check(self, stream: str, hours: float, differences: int, *, tenant: str = "acme") -> None:
        verdict = "differs" if differences else "same"
        value = {"stream": stream, "tenant": tenant, "verdict": verdict, "differences": differences}
        entry = {"dag_id": "alvys_check", "run_id": f"run-{hours}", "task_id": f"check_{stream}"}
        self.checks.append({**entry, "map_index": -1, "timestamp": ago(hours), "value": value})

    def serve(self, page: Page) -> None:
        """Answer the requests of a page, whose clock stands at :data:`NOW`."""
        page.clock.install(time=NOW)
        page.route(f"{URL}/**", self._answer)

    def _answer(self, route: Route) -> None:
        url = urlsplit(route.request.url.removeprefix(URL))
        if not url.path.startswith("/api/v2/"):
            answer = self.app.get(url.path.removeprefix("/alvys"))
            route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)
            return
        path = unquote(url.path.removeprefix("/api/v2/"))
        self.requested[path] += 1
        if path in self.refusals:
            route.fulfill(status=self.refusals[path], json={"detail": "no"})
            return
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        route.fulfill(json=self._find(path, query))

    def _find(self, path: str, query: dict[str, str]) -> Any:
        parts = path.split("/")
        if path == "assets":
            return self._page("assets", self.assets, query)
        if path == "assets/events":
            found = [event for event in self.events if event["asset_id"] == int(query["asset_id"])]
            return self._page("asset_events", sorted(found, key=lambda e: e["timestamp"])[::-1], query)
        if path == "dags":
            failed = query.get("last_dag_run_state") == "failed"
            dags = [dag for dag in self.dags if not failed or dag["dag_id"] in self.failed]
            return self._page("dags", dags, query)
        if parts[-1] == "xcomEntries":
            assert query["xcom_key"] == "alvys_check"
            entries = [{k: v for k, v in check.items() if k != "value"} for check in self.checks]
            return self._page("xcom_entries", entries, query)
        if parts[-1] == "alvys_check":
            return next(check for check in self.checks if [check["run_id"], check["task_id"]] == parts[3:6:2])
        assert (parts[0], parts[2], query["state"]) == ("dags", "dagRuns", "failed"), path
        runs = [{"dag_run_id": "manual__1", "run_after": ago(1)}]
        return {"dag_runs": runs, "total_entries": 1}

    @staticmethod
    def _page(name: str, items: list[Any], query: dict[str, str]) -> dict[str, Any]:
        limit, offset = int(query.get("limit", 50)), int(query.get("offset", 0))
        # As Airflow's [api] maximum_page_limit.
        return {name: items[offset : offset + min(limit, 100)], "total_entries": len(items)}
