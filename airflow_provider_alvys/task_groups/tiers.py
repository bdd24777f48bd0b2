"""The tiers of the catalogue: which streams are read, how often, and by which window."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator

from airflow_provider_alvys.api.catalogue.streams import STREAMS, Stream, Tier, get_streams
from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.landing.jobs.spec import OVERLAP


@dataclass(frozen=True, eq=False)
class Sync:
    """A stream of a task group, and its tier."""

    stream: Stream
    tier: Tier

    @property
    def is_whole(self) -> bool:
        """Whether it is read in full, without a window."""
        return self.stream.window(self.tier.window) is None

    @property
    def task_id(self) -> str:
        """The id of its task."""
        return self.stream.name if self.is_regular else f"{self.stream.name}_{self.tier.window}"

    @property
    def is_regular(self) -> bool:
        """Whether its window is that of the stream's regular sync."""
        return self.tier.window in (None, self.stream.default_window)


def choose_syncs(streams: Sequence[str] | None, tier: str | Sequence[str] | None) -> list[Sync]:
    """
    Return the streams of a task group, with their tiers.

    :param streams: streams of the catalogue; None means all that have one of the tiers.
    :param tier: one or several; None means the first of each stream.
    :raises AlvysValueError: an unknown stream or tier, or neither is given.
    """
    tiers = _check_tiers(tier)
    if streams is None and not tiers:
        raise AlvysValueError("Give streams, a list of names, or a tier such as 'hourly'")
    found: dict[tuple[str, str | None], Sync] = {}
    for stream in STREAMS.values() if streams is None else get_streams(streams):
        chosen = [known for name in tiers for known in stream.tiers if known.name == name]
        if streams is not None and tiers and not chosen:
            theirs = ", ".join(known.name for known in stream.tiers) or "none"
            wanted = " or ".join(map(repr, tiers))
            raise AlvysValueError(f"{stream.name} has no tier {wanted}. Its tiers: {theirs}. Leave it out")
        if not tiers:
            chosen = [stream.tiers[0] if stream.tiers else Tier("")]
        for known_tier in chosen:
            # Tiers with the same window share a cursor, so they need one task with the wider window.
            by = (stream.name, known_tier.window or stream.default_window)
            widest = _widest(stream, found[by].tier, known_tier) if by in found else known_tier
            found[by] = Sync(stream, widest)
    return list(found.values())


def _check_tiers(tier: Any) -> list[str]:
    if tier is not None and (isinstance(tier, (bytes, Mapping)) or not isinstance(tier, Collection)):
        raise AlvysValueError(f"tier={tier!r} must be a text, such as 'hourly', or a list of them")
    tiers = [tier] if isinstance(tier, str) else list(tier or ())
    known = dict.fromkeys(known.name for stream in STREAMS.values() for known in stream.tiers)
    for name in tiers:
        if name not in known:
            raise AlvysValueError(f"tier={name!r} is not known.{suggest(name, known, 'Tiers')}")
    return tiers


def _widest(stream: Stream, one: Tier, other: Tier) -> Tier:
    """Return a tier whose window contains those of two tiers of the same window kind."""
    window = stream.window(one.window)

    def longest(name: str, usual: timedelta | None) -> timedelta | None:
        given = [getattr(tier, name) for tier in (one, other)]
        # None means the window's usual length; if that is None, too, the window has no end.
        if given == [None, None] or (usual is None and None in given):
            return None
        return max(usual if length is None else length for length in given)  # type: ignore[type-var]

    return replace(
        one,
        overlap=longest("overlap", OVERLAP),
        look_back=longest("look_back", window.look_back if window else timedelta(0)),
        look_ahead=longest("look_ahead", window.look_ahead if window else timedelta(0)),
        sweep=one.sweep and other.sweep,
    )


def put_in_order(tasks: Mapping[Sync, BaseOperator]) -> None:
    """Put parents before their children, and tasks on the same endpoint one after the other."""
    last: dict[str, BaseOperator] = {}
    for sync, task in tasks.items():
        before = last.get(str(sync.stream.endpoint))
        if before is not None and before is not task:
            before >> task
        last[str(sync.stream.endpoint)] = task
        for other, parent in tasks.items():
            if sync.stream.parent and other.stream.name == sync.stream.parent.stream and parent is not task:
                parent >> task
