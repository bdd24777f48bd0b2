"""Rows on the console, in the forms of Airflow's own commands."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec

from airflow_provider_alvys.api.figures import counted, duration
from airflow_provider_alvys.api.read.windows import format_time


def print_rows(rows: Sequence[Mapping[str, Any]], output: str, *, details: Collection[str] = ()) -> None:
    """
    Print rows as Airflow's own commands do.

    :param output: ``table``, ``json``, ``yaml`` or ``plain``. JSON and YAML keep numbers, lists and nulls;
        elsewhere a list is its length.
    :param details: columns that only JSON and YAML have. Elsewhere, the column of problems needs one.
    """
    from airflow.cli.simple_table import AirflowConsole
    from rich.markup import escape

    console = AirflowConsole()
    if output in ("json", "yaml"):
        plain: Any = [{name: _plain(value) for name, value in row.items()} for row in rows]
        (console.print_as_json if output == "json" else console.print_as_yaml)(plain)
        return
    hidden = {*details} if any(row.get("problem") for row in rows) else {*details, "problem"}
    shown = [
        {name: _cell(value, output) for name, value in row.items() if name not in hidden} for row in rows
    ]
    if output == "table":
        # A name in brackets is not a style.
        shown = [{name: escape(value) for name, value in row.items()} for row in shown]
    console.print_as(shown, output)


@contextmanager
def log_to_stderr() -> Iterator[None]:
    """Keep the log out of the rows."""
    # Configures logging.
    import airflow.settings  # noqa: F401
    import structlog

    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout
    ]
    factory = structlog.get_config()["logger_factory"]
    # Of the loggers that do not go through these handlers.
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    for handler in handlers:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(sys.stdout)
        structlog.configure(logger_factory=factory)


def say(sentence: str) -> None:
    """Print a sentence beside the rows, to standard error."""
    sys.stderr.write(f"{sentence}\n")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    return round(value.total_seconds()) if isinstance(value, timedelta) else msgspec.to_builtins(value)


def _cell(value: Any, output: str) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return format_time(value.replace(microsecond=0) if output == "table" else value)
    if isinstance(value, timedelta):
        return counted(value.days, "days") if abs(value.days) > 2 else duration(value.total_seconds())
    if isinstance(value, list):
        return str(len(value))
    if isinstance(value, float):
        return f"{value:,.2f}" if output == "table" else f"{value:.2f}"
    if isinstance(value, int):
        return f"{value:,}" if output == "table" else str(value)
    return str(value)
