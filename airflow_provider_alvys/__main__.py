"""The command line. Since Airflow 3.2, ``airflow alvys`` has the same commands."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_alvys.cli.definition import add_commands
from airflow_provider_alvys.cli.parser import CommandParser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        options.func(options)
    except KeyboardInterrupt:
        parser.exit(130)


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m airflow_provider_alvys", description="Alvys in Airflow, from the command line."
    )
    add_commands(parser)
    return parser


if __name__ == "__main__":
    main()
