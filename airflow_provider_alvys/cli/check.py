"""``check``: compare stored rows with Alvys."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from typing import Any

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysDifferenceError, AlvysValueError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.windows import as_utc, format_time
from airflow_provider_alvys.checks.reconcile import Reconciliation
from airflow_provider_alvys.checks.results import Report
from airflow_provider_alvys.checks.spec import CheckSpec
from airflow_provider_alvys.cli.connections import open_hook, open_store
from airflow_provider_alvys.cli.console import print_rows, say
from airflow_provider_alvys.hooks.databases import get_database_hook
from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity
from airflow_provider_alvys.tables.database import open_database


def check(options: argparse.Namespace) -> None:
    """Print what differs, and fail if anything does. Stores no results."""
    if options.sql_conn_id is None and options.path is None:
        raise AlvysValueError("Give --sql-conn-id to compare tables, --path to compare files, or both")
    spec = CheckSpec(
        get_stream(options.stream),
        options.tenant or options.conn_id,
        start=as_utc(options.start, "start") if options.start else None,
        end=as_utc(options.end, "end") if options.end else None,
        by=options.by,
        statuses=[name.strip() for name in options.statuses.split(",")] if options.statuses else None,
        sample=options.sample,
        table=options.table,
    )
    spec.check()
    client = open_hook(options.conn_id).get_conn()
    store = open_store(options.path) if options.path else None
    run_id = f"cli__{format_time(datetime.now(timezone.utc))}"
    identity = RunIdentity(dag_id="", task_id="check", map_index=-1, run_id=run_id)
    with ExitStack() as stack:
        database = None
        if options.sql_conn_id is not None:
            hook, dialect = get_database_hook(options.sql_conn_id)
            for parameter in ("schema", "table"):
                if (name := getattr(options, parameter)) is not None:
                    dialect.check_name(name, parameter)
            opened = open_database(hook.get_conn(), dialect, options.schema)
            database = stack.enter_context(closing(opened))
        report = Reconciliation(client, spec, identity, database, store).run()
    print_rows(check_rows(report), options.output)
    count = counted(len(report.checks), "checks")
    as_of = format_time(report.as_of) if report.as_of else "an unknown time"
    say(f"Compared {report.stream} of {report.tenant} as of {as_of}: {count}, verdict {report.verdict}")
    for arguments in report.repairs:
        say(f"To repair, sync with {json.dumps(arguments)}")
    if report.verdict == "differs":
        raise AlvysDifferenceError(
            f"{counted(len(report.differences), 'differences')} in {count} of {report.stream}"
        )


def check_rows(report: Report) -> list[dict[str, Any]]:
    """Return the checks that are not the same as rows."""
    return [
        {
            "check": each.check,
            "scope": each.scope,
            "expected": each.expected,
            "actual": each.actual,
            "difference": each.difference,
            "verdict": each.verdict,
        }
        for each in report.checks
        if each.verdict != "same"
    ]
