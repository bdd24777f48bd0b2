"""
``python -m airflow_provider_alvys plan`` prints the cost of a first load.
``python -m airflow_provider_alvys sql`` prints the statements that load a stream into a warehouse.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysError, AlvysValueError
from airflow_provider_alvys.api.read.cost import StreamPlan
from airflow_provider_alvys.command_line import CommandParser
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.tables.schema import build_schema
from airflow_provider_alvys.tables.warehouses.statements import WAREHOUSES, write_sql

_HEADER = ("stream", "rows", "requests", "hours as documented", "hours at this pace", "missing scope", "")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except AlvysError as error:
        parser.fail(str(error))
    except KeyboardInterrupt:
        parser.exit(130)


def _sql(options: argparse.Namespace) -> None:
    stream_schema = build_schema(get_stream(options.stream), table=options.table)
    text = write_sql(
        options.warehouse, stream_schema, schema=options.schema, url=options.url, task_id=options.task_id
    )
    sys.stdout.write(text)


def _plan(options: argparse.Namespace) -> None:
    # As Airflow's own commands do, so that connections in its database are found.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    names = [name.strip() for name in options.streams.split(",")] if options.streams else None
    hook = AlvysHook(options.conn_id)
    try:
        _ = hook.settings
    except AlvysError:
        raise
    except Exception as error:
        # Airflow's, of any type: there is no such connection, or its database cannot be read.
        raise AlvysValueError(
            f"The connection {options.conn_id!r} cannot be read: {error or type(error).__name__}. Give "
            "--conn-id the name of a connection of type Alvys, or set its AIRFLOW_CONN_... variable"
        ) from error
    plans = hook.plan(names, since=options.since, until=options.until)
    sys.stdout.write(format_plans(plans))


def format_plans(plans: Sequence[StreamPlan]) -> str:
    """Return plans as a table, with totals in the last line."""
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
    # Without children, since the user chooses their parents.
    summed = [plan for plan in plans if not get_stream(plan.stream).is_child]
    sums = (
        "total of known figures",
        _number(sum(plan.rows or 0 for plan in summed)),
        _number(sum(plan.requests or 0 for plan in summed)),
        _hours(sum(plan.documented_hours or 0 for plan in summed)),
        _hours(sum(plan.paced_hours or 0 for plan in summed)),
        "",
        "hours one after the other, without children; in parallel, the longest stream counts",
    )
    table = [_HEADER, *rows, sums]
    widths = [max(len(line[column]) for line in table) for column in range(len(_HEADER))]
    lines = []
    for line in table:
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


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m airflow_provider_alvys", description="Alvys in Airflow, from the command line."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    plan = commands.add_parser(
        "plan",
        help="print rows, requests, hours and missing scopes of a first load; one small request per stream",
    )
    plan.add_argument(
        "--conn-id", default=AlvysHook.default_conn_name, help="the Alvys connection (default: %(default)s)"
    )
    plan.add_argument(
        "--streams",
        help="streams of the catalogue, separated by commas (default: those that a company needs)",
    )
    plan.add_argument(
        "--since", help="start of the window, such as 2025-01-01T00:00:00Z (default: no window)"
    )
    plan.add_argument("--until", help="end of the window (default: no end)")
    plan.set_defaults(command=_plan)
    sql = commands.add_parser(
        "sql",
        help="print the SQL template that loads landed files into a warehouse: docs/reference/warehouses.md",
    )
    sql.add_argument(
        "--warehouse", required=True, choices=list(WAREHOUSES), help="the warehouse to write SQL for"
    )
    sql.add_argument("--stream", required=True, help="a stream of the catalogue, such as loads")
    sql.add_argument(
        "--table",
        help="name of the main table; child tables are named after it (default: the stream's)",
    )
    sql.add_argument(
        "--schema",
        help="database schema of the tables, such as alvys or my_database.alvys (default: the connection's)",
    )
    sql.add_argument(
        "--url", help="root of the data set, as the warehouse sees it, such as s3://my-bucket/alvys"
    )
    sql.add_argument(
        "--task-id", default="run", help="id of the task that reads the manifest (default: %(default)s)"
    )
    sql.set_defaults(command=_sql)
    return parser


if __name__ == "__main__":
    main()
