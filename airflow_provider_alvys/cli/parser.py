"""The parser of the command lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from airflow_provider_alvys.api.suggestions import suggest


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors suggest the option, command or value that was meant."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """Return the parsed arguments, or exit with 2 after a sentence about the first wrong one."""
        given = sys.argv[1:] if args is None else list(args)
        options = list(self._options())
        # First, since a misspelled option may be a required one, which argparse would call missing.
        unknown = [text for text in given if text[:2] == "--" and not _begins_one(text, options)]
        if not unknown:
            parsed, unknown = self.parse_known_args(given, namespace)
        if unknown:
            hint = suggest(unknown[0].partition("=")[0], options, "Options")
            self.error(f"unrecognized argument {unknown[0]!r}.{hint}")
        return parsed

    def fail(self, message: str) -> NoReturn:
        """Exit with 2 after a message, without the usage."""
        self.exit(2, f"{self.prog}: {message.rstrip('.')}.\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            hint = suggest(value, action.choices, "Choices")
            raise argparse.ArgumentError(action, f"invalid choice {value!r}.{hint}")

    def _options(self) -> Iterator[str]:
        for action in self._actions:
            yield from (flag for flag in action.option_strings if flag.startswith("--"))
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    yield from command._options()


def _begins_one(text: str, options: Sequence[str]) -> bool:
    return any(option.startswith(text.partition("=")[0]) for option in options)
