"""``plan``: the cost of a first load."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.read.cost import StreamPlan
from airflow_provider_alvys.cli.connections import open_hook
from airflow_provider_alvys.cli.console import print_rows


def plan(options: argparse.Namespace) -> None:
    """Print rows, requests, hours and missing scopes by stream; tables end with totals."""
    names = [name.strip() for name in options.streams.split(",")] if options.streams else None
    hook = open_hook(options.conn_id)
    plans = hook.plan(names, since=options.since, until=options.until)
    rows = plan_rows(plans)
    print_rows(rows if options.output in ("json", "yaml") else [*rows, total_row(plans)], options.output)


def plan_rows(plans: Sequence[StreamPlan]) -> list[dict[str, Any]]:
    """Return plans as rows."""
    return [
        {
            "stream": plan.stream,
            "rows": plan.rows,
            "requests": plan.requests,
            "documented_hours": plan.documented_hours,
            "paced_hours": plan.paced_hours,
            "missing_scope": plan.missing_scope,
            "note": plan.note,
        }
        for plan in plans
    ]


def total_row(plans: Sequence[StreamPlan]) -> dict[str, Any]:
    """Return the totals of what is known, without children, since the user chooses their parents."""
    summed = [plan for plan in plans if not get_stream(plan.stream).is_child]
    return {
        "stream": "total of known figures",
        "rows": sum(plan.rows or 0 for plan in summed),
        "requests": sum(plan.requests or 0 for plan in summed),
        "documented_hours": sum(plan.documented_hours or 0.0 for plan in summed),
        "paced_hours": sum(plan.paced_hours or 0.0 for plan in summed),
        "missing_scope": None,
        "note": "hours one after the other, without children; in parallel, the longest stream counts",
    }
