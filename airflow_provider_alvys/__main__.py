"""The command line. Since Airflow 3.2, ``airflow alvys`` has the same commands."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from airflow_provider_alvys.cli.definition import add_commands
from airflow_provider_alvys.cli.parser import CommandParser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if hasattr(options, "output"):
        _log_to_stderr()
    try:
        options.func(options)
    except KeyboardInterrupt:
        parser.exit(130)


def _log_to_stderr() -> None:
    """Keep the log out of the rows, as Airflow's own command line does."""
    # Configures logging.
    import airflow.settings  # noqa: F401

    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m airflow_provider_alvys", description="Alvys in Airflow, from the command line."
    )
    add_commands(parser)
    return parser


if __name__ == "__main__":
    main()
