"""
The commands and their options, as data for both command lines.

``airflow`` imports this at its start, and so this imports nothing of Airflow or of the package.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand


class Option:
    """An option of a command: the arguments of argparse's ``add_argument``, which are those of Airflow."""

    def __init__(self, *flags: str, **settings: Any) -> None:
        self.flags = flags
        self.settings = settings


@dataclass(frozen=True)
class Command:
    """
    A command, or a group of commands.

    :param function: what runs it, as ``module:function`` in this folder.
    """

    name: str
    help: str
    function: str = ""
    options: tuple[Option, ...] = ()
    commands: tuple[Command, ...] = ()


_OUTPUT = Option(
    "-o",
    "--output",
    choices=("table", "json", "yaml", "plain"),
    default="table",
    help="form of the output (default: %(default)s)",
)
_PATH = Option(
    "--path", required=True, help="root of the data set, such as /data/alvys or s3://aws_default@bucket/alvys"
)
_STREAM = Option("--stream", required=True, help="a stream of the catalogue, such as loads")
_STREAMS = Option(
    "--stream", dest="streams", help="streams of the catalogue, separated by commas (default: all)"
)
_TENANT = Option("--tenant", help="name of the tenant in manifests (default: all)")
_ONE_TENANT = Option("--tenant", help="name of the tenant in manifests (default: the only one)")
_CURSOR = Option(
    "--cursor",
    help="file of the cursor, as cursor show prints it, such as loads/_cursor-81e89a98f997c009.json "
    "(default: the only one)",
)
_PARENT = Option("--parent", help="id of a parent, for streams that are read per parent (default: all)")
_CONN_ID = Option("--conn-id", default="alvys_default", help="the Alvys connection (default: %(default)s)")
_TABLE = Option(
    "--table", help="name of the main table; child tables are named after it (default: the stream's)"
)
_SCHEMA = Option(
    "--schema",
    help="database schema of the tables, such as alvys or my_database.alvys (default: the connection's)",
)
_YES = Option("--yes", action="store_true", help="write the cursor (default: only print what would change)")
_FORCE = Option(
    "--force",
    action="store_true",
    help="write the cursor although a run has not finished; with set, also over a period that no complete "
    "run has read",
)
_ONE_CURSOR = (_PATH, _STREAM, _ONE_TENANT, _CURSOR, _PARENT, _OUTPUT)

_CURSOR_COMMANDS = (
    Command(
        "show",
        "print the position of each cursor, and where the next sync begins",
        "cursor:show",
        (
            _PATH,
            _STREAMS,
            _TENANT,
            _PARENT,
            _OUTPUT,
        ),
    ),
    Command(
        "set",
        "set the position of a cursor to a time",
        "cursor:set_position",
        (
            *_ONE_CURSOR,
            Option(
                "--until",
                dest="to",
                required=True,
                help="the new position, such as 2026-03-01T00:00:00Z",
            ),
            _FORCE,
            _YES,
        ),
    ),
    Command(
        "rewind",
        "move a cursor back, so that the next sync reads a period again",
        "cursor:rewind",
        (
            *_ONE_CURSOR,
            Option("--by", dest="length", help="how far, in weeks, days, hours or minutes: 1w, 2d, 36h, 90m"),
            Option("--to", help="the new position, such as 2026-03-01T00:00:00Z, instead of --by"),
            _FORCE,
            _YES,
        ),
    ),
    Command(
        "recover",
        "rebuild a lost cursor from the manifests of complete runs, up to the first hole",
        "cursor:recover",
        (*_ONE_CURSOR, _FORCE, _YES),
    ),
)

COMMANDS = (
    Command(
        "plan",
        "print rows, requests, hours and missing scopes of a first load; one small request per stream",
        "plan:plan",
        (
            _CONN_ID,
            Option(
                "--streams",
                help="streams of the catalogue, separated by commas (default: those that a company needs)",
            ),
            Option("--since", help="start of the window, such as 2025-01-01T00:00:00Z (default: no window)"),
            Option("--until", help="end of the window (default: no end)"),
            _OUTPUT,
        ),
    ),
    Command(
        "status",
        "print newest run, cursor, freshness, open and unfinished runs of each stream of a data set",
        "status:status",
        (
            _PATH,
            _STREAMS,
            _TENANT,
            _OUTPUT,
        ),
    ),
    Command(
        "check",
        "compare stored rows with Alvys, and print what differs; fails if anything does",
        "check:check",
        (
            _CONN_ID,
            _STREAM,
            Option(
                "--sql-conn-id",
                help="Airflow connection of the database with the tables (default: compare the files)",
            ),
            Option("--path", help="root of the data set (default: compare the tables only)"),
            Option(
                "--tenant", help="name of the tenant in manifests and tables (default: the connection's id)"
            ),
            Option(
                "--start",
                help="start of the first window, such as 2026-03-01T00:00:00Z (default: all rows, also those "
                "without a date)",
            ),
            Option("--end", help="end of the last window (default: the last complete sync)"),
            Option(
                "--by",
                choices=("day", "week", "month", "year"),
                default="month",
                help="length of a window (default: %(default)s)",
            ),
            Option(
                "--statuses",
                help="statuses to count in the months that differ, separated by commas (default: all)",
            ),
            Option(
                "--sample",
                type=int,
                default=0,
                help="number of rows to read again and compare; 0 compares none (default: %(default)s)",
            ),
            _TABLE,
            _SCHEMA,
            _OUTPUT,
        ),
    ),
    Command("cursor", "show, set, rewind or recover the cursors of a data set", commands=_CURSOR_COMMANDS),
    Command(
        "sql",
        "print the SQL template that loads landed files into a warehouse: docs/reference/warehouses.md",
        "sql:sql",
        (
            Option(
                "--warehouse",
                required=True,
                choices=("snowflake", "bigquery", "redshift", "sqlserver"),
                help="the warehouse to write SQL for",
            ),
            _STREAM,
            _TABLE,
            _SCHEMA,
            Option(
                "--url",
                help="root of the data set, as the warehouse sees it, such as s3://my-bucket/alvys",
            ),
            Option(
                "--task-id",
                default="run",
                help="id of the task that reads the manifest (default: %(default)s)",
            ),
        ),
    ),
)


def get_cli_commands() -> list[CLICommand]:
    """Return the group ``airflow alvys``. Airflow 3.2 and later find this function in the provider info."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    def convert(command: Command) -> CLICommand:
        if command.commands:
            return GroupCommand(command.name, command.help, [convert(each) for each in command.commands])
        args = [Arg(option.flags, **option.settings) for option in command.options]  # type: ignore[no-untyped-call]
        return ActionCommand(command.name, command.help, runner(command), args)

    about = "plan syncs of Alvys, look at their data sets, and correct cursors"
    return [convert(Command("alvys", about, commands=COMMANDS))]


def add_commands(parser: argparse.ArgumentParser, commands: Iterable[Command] = COMMANDS) -> None:
    """Add commands to a parser."""
    parsers = parser.add_subparsers(required=True, metavar="command")
    for command in commands:
        own = parsers.add_parser(command.name, help=command.help, description=f"{command.help}.")
        if command.commands:
            add_commands(own, command.commands)
            continue
        for option in command.options:
            own.add_argument(*option.flags, **option.settings)
        own.set_defaults(func=runner(command))


def runner(command: Command) -> Callable[[argparse.Namespace], None]:
    """
    Return the function that runs a command.

    It exits with 2 after a sentence about a wrong argument, and with 1 after one about anything else that
    failed.
    """

    def run(options: argparse.Namespace) -> None:
        # As Airflow's own commands do, so that connections in its database are found.
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
        from airflow_provider_alvys.api.errors import AlvysError, AlvysValueError
        from airflow_provider_alvys.cli.console import log_to_stderr

        module, _, function = command.function.partition(":")
        try:
            with log_to_stderr():
                getattr(import_module(f"airflow_provider_alvys.cli.{module}"), function)(options)
        except AlvysError as error:
            sentence = str(error).rstrip(".")
            sys.stderr.write(f"{command.name}: {sentence}{'' if sentence.endswith('?') else '.'}\n")
            sys.exit(2 if isinstance(error, AlvysValueError) else 1)

    return run
