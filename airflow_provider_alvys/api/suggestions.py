"""Suggestions for misspelled names, in the one form that all errors use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_CUTOFF = 0.6
_MAX_LISTED = 50


def suggest(given: Any, known: Iterable[Any], listed: str) -> str:
    """
    Return the end of an error about a name that is not known, with a space before it.

    :param given: the name. Its case, underscores, dashes and spaces do not matter.
    :param known: the names that are known.
    :param listed: what the known names are, such as ``Streams``.
    :return: the closest of the known names, or else a list of them: `` Did you mean loads?``, `` Streams:
        loads, trips.``
    """
    names = [str(name) for name in known]
    best = closest(given, names)
    if best is not None:
        return f" Did you mean {best}?"
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f" {listed}: {', '.join(names[:_MAX_LISTED])}{more}." if names else f" {listed}: none."


def closest(given: Any, names: Iterable[str]) -> str | None:
    """Return the name that is closest to a misspelled one, or None if none is close."""
    # Imported here: only a misspelled name needs it, and each parse of a DAG imports this module.
    import difflib

    plain: dict[str, list[str]] = {}
    for name in names:
        plain.setdefault(_plain(name), []).append(name)
    wanted = _plain(str(given))
    close = difflib.get_close_matches(wanted, plain, n=1, cutoff=_CUTOFF)
    # The last name of a path: Status of Filter.Status.
    close = close or [name for name in plain if wanted and name.endswith(f".{wanted}")]
    # Some names differ in their spaces only.
    return difflib.get_close_matches(str(given), plain[close[0]], n=1, cutoff=0)[0] if close else None


def _plain(name: str) -> str:
    return name.casefold().translate({ord(char): None for char in "_- "})
