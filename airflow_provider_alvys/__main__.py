"""
``python -m airflow_provider_alvys plan``: what a first load would cost.
``python -m airflow_provider_alvys sql``: the statements that load a stream into a warehouse.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysError
from airflow_provider_alvys.api.read.cost import StreamPlan
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.tables.schema import build_schema
from airflow_provider_alvys.tables.warehouses.statements import WAREHOUSES, write_sql

_HEADER = ("stream", "rows", "requests", "hours as documented", "hours at this pace", "missing scope", "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, and do what it says."""
    options = _parser().parse_args(arguments)
    options.command(options)


def _sql(options: argparse.Namespace) -> None:
    try:
        stream_schema = build_schema(get_stream(options.stream), table=options.table)
        text = write_sql(
            options.warehouse, stream_schema, schema=options.schema, url=options.url, task_id=options.task_id
        )
    except AlvysError as error:
        sys.exit(str(error))
    sys.stdout.write(text)


def _plan(options: argparse.Namespace) -> None:
    # As Airflow's own commands do: a connection may be kept in its database.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    names = [name.strip() for name in options.streams.split(",")] if options.streams else None
    try:
        plans = AlvysHook(options.conn_id).plan(names, since=options.since, until=options.until)
    except AlvysError as error:
        sys.exit(str(error))
    except Exception as error:
        if type(error).__name__ != "AirflowNotFoundException":
            raise
        sys.exit(f"{error}. Give --conn-id the name of a connection of type Alvys")
    sys.stdout.write(format_plans(plans))


def format_plans(plans: Sequence[StreamPlan]) -> str:
    """Return plans as a table with a line of sums."""
    rows = [
        (
            plan.stream,
            _number(plan.rows),
            _number(plan.requests),
            _hours(plan.documented_hours),
            _hours(plan.paced_hours),
            plan.missing_scope or "",
            plan.note,
        )
        for plan in plans
    ]
    # Whose children are read, and how often, is for the user to choose: theirs are in their rows alone.
    summed = [plan for plan in plans if not get_stream(plan.stream).is_child]
    sums = (
        "all that is known",
        _number(sum(plan.rows or 0 for plan in summed)),
        _number(sum(plan.requests or 0 for plan in summed)),
        _hours(sum(plan.documented_hours or 0 for plan in summed)),
        _hours(sum(plan.paced_hours or 0 for plan in summed)),
        "",
        "one after the other, without what is read per parent; streams side by side take as long as the longest",
    )
    table = [_HEADER, *rows, sums]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADER))]
    lines = []
    for line in table:
        # Names to the left, numbers to the right.
        cells = [
            cell.rjust(width) if 0 < at < 5 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]]) + "\n"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _hours(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_alvys", description="Alvys in Airflow, from the command line."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    plan = commands.add_parser(
        "plan",
        help="tell what a first load would cost: rows, requests, hours, missing scopes; at most one small request a stream",
    )
    plan.add_argument(
        "--conn-id", default=AlvysHook.default_conn_name, help="the Alvys connection (default: %(default)s)"
    )
    plan.add_argument(
        "--streams", help="names in the catalogue, with commas between (default: those that a company needs)"
    )
    plan.add_argument(
        "--since", help="start of what is to be loaded, such as 2025-01-01T00:00:00Z (default: everything)"
    )
    plan.add_argument("--until", help="its end (default: none)")
    plan.set_defaults(command=_plan)
    sql = commands.add_parser(
        "sql",
        help="print the statements, as an Airflow template, that load what was landed into a warehouse: docs/warehouses.md",
    )
    sql.add_argument("--warehouse", required=True, choices=list(WAREHOUSES))
    sql.add_argument("--stream", required=True, help="name in the catalogue")
    sql.add_argument(
        "--table",
        help="name of the stream's table, from which those of its lists are made (default: the stream's)",
    )
    sql.add_argument(
        "--schema", help="of the tables, such as alvys or my_database.alvys (default: the connection's)"
    )
    sql.add_argument("--url", help="of the data set, as the warehouse finds it, such as s3://my-bucket/alvys")
    sql.add_argument(
        "--task-id", default="run", help="of the task that reads the manifest (default: %(default)s)"
    )
    sql.set_defaults(command=_sql)
    return parser


if __name__ == "__main__":
    main()
