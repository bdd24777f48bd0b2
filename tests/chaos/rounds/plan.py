"""The disruptions of a round and their times, all derived from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# The synced streams, each with its own endpoint.
STREAMS = ("loads", "trips", "invoices", "drivers", "customers")
CAP = 13

_FAULTS: dict[str, dict[str, Any]] = {
    "429 as HTML, Retry-After in seconds": {
        "kind": "status",
        "status": 429,
        "body": "html",
        "retry_after": "2",
    },
    "429 as JSON, Retry-After as a date": {"kind": "status", "status": 429, "retry_after": "date+2"},
    "429 without Retry-After": {"kind": "status", "status": 429, "body": "html"},
    "500": {"kind": "status", "status": 500, "body": "html"},
    "503 with Retry-After": {"kind": "status", "status": 503, "retry_after": "1.5"},
    "response too late": {"kind": "timeout", "seconds": 4.0},
    "connection reset": {"kind": "reset"},
    "body truncated": {"kind": "truncate"},
    "body not UTF-8": {"kind": "bad_utf8"},
    "HTML with status 200": {"kind": "html"},
    "404 from a search": {"kind": "status", "status": 404},
    "401 between pages": {"kind": "status", "status": 401},
}
_MUTATIONS: dict[str, list[dict[str, Any]]] = {
    "1 row a request leaves": [{"kind": "leave", "rows": 1, "times": 40}],
    "5 rows a request leave": [{"kind": "leave", "rows": 5, "times": 16}],
    "50 rows a request leave": [{"kind": "leave", "rows": 50, "times": 3}],
    "1 row a request joins": [{"kind": "join", "rows": 1, "times": 40}],
    "5 rows a request join": [{"kind": "join", "rows": 5, "times": 16}],
    "5 rows leave, 5 join": [
        {"kind": "leave", "rows": 5, "times": 16},
        {"kind": "join", "rows": 5, "times": 16},
    ],
}
TASK_KILLED = "task killed"
_REVOKED = "all tokens revoked"
_CAPPED = "page size capped"
# Each kind of kill: the daemon, and whether its descendants are killed, too.
_DAEMONS = {
    "triggerer killed": ("triggerer", True),
    "scheduler killed": ("scheduler", False),
    "scheduler killed with its workers": ("scheduler", True),
}
_KILLS_OF_SCHEDULER = ("scheduler killed", "scheduler killed with its workers")
_SERVER_FAULTS: dict[str, dict[str, Any]] = {
    _REVOKED: {"kind": "revoke"},
    _CAPPED: {"kind": "cap", "cap": CAP},
}
NOTHING = "nothing"

# All kinds of disruptions, in the order of the table.
KINDS = (*_FAULTS, *_SERVER_FAULTS, *_MUTATIONS, TASK_KILLED, *_DAEMONS)
_OF_ONE_STREAM = (*_FAULTS, *_MUTATIONS, TASK_KILLED, NOTHING)
_OF_ALL_STREAMS = (*_SERVER_FAULTS, *_DAEMONS)


@dataclass(frozen=True)
class Disruption:
    """
    A kill, or a new set of faults and mutations.

    :param at: seconds after the round's start.
    :param faults: replace the earlier ones.
    :param mutations: replace the earlier ones.
    :param kill: kind of kill; None for faults and mutations.
    :param stream: stream of the task to kill; None for any.
    """

    at: float
    faults: tuple[dict[str, Any], ...] = ()
    mutations: tuple[dict[str, Any], ...] = ()
    kill: str | None = None
    stream: str | None = None


@dataclass(frozen=True)
class Plan:
    """
    The disruptions of a round.

    :param name: ``storm``, or the only kind of disruption.
    :param seconds: duration of the disruptions.
    :param options: of the simulator.
    :param alone: by stream, the only kind of disruption; empty for a storm.
    """

    name: str
    seconds: float
    options: dict[str, Any]
    disruptions: tuple[Disruption, ...]
    alone: dict[str, str] = field(default_factory=dict)


def daemon_of(kind: str) -> tuple[str, bool]:
    """Return the daemon that a kind kills, and whether its descendants are killed, too."""
    return _DAEMONS[kind]


def label(stream: str, kind: str) -> str:
    """Return the label under which the simulator counts a fault or mutation."""
    return f"{stream}:{kind}"


def _mutations(kind: str) -> list[dict[str, Any]]:
    return [{**mutation, "label": kind} for mutation in _MUTATIONS[kind]]


class PlanGenerator:
    """
    A generator of plans.

    :param seed: the same seed gives the same plans.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._deck: list[str] = []
        self._singles: list[list[str]] = []

    def storm(self, seconds: float = 45.0, kills: Sequence[str] = (), **options: Any) -> Plan:
        """
        Return a plan in which everything happens at once.

        :param kills: kinds of kills of daemons; two tasks are killed in addition.
        :param options: of the simulator.
        """
        disruptions = [self._make_faults(at) for at in (0.0, seconds * 0.25, seconds * 0.5, seconds * 0.75)]
        chosen = list(kills) or [
            "triggerer killed",
            self._random.choice(_KILLS_OF_SCHEDULER),
        ]
        for number, kind in enumerate([TASK_KILLED, chosen[0], TASK_KILLED, *chosen[1:]]):
            # One after the other: a killed daemon needs time to start again.
            at = 6 + (seconds - 8) * (number + self._random.random() * 0.7) / (len(chosen) + 2)
            disruptions.append(Disruption(at, kill=kind))
        return Plan(
            "storm", seconds, self._options() | options, tuple(sorted(disruptions, key=lambda one: one.at))
        )

    def _make_faults(self, at: float) -> Disruption:
        faults = []
        for stream in STREAMS:
            for kind in self._draw(self._random.choice([1, 1, 2])):
                faults.append(
                    self._fault(
                        stream, kind, skip=self._random.randint(0, 4), times=self._random.choice([1, 1, 2])
                    )
                )
        mutations = [
            mutation for kind in self._random.sample(sorted(_MUTATIONS), 2) for mutation in _mutations(kind)
        ]
        return Disruption(at, tuple(faults), tuple(mutations))

    def _draw(self, count: int) -> list[str]:
        while len(self._deck) < count:
            kinds = [*_FAULTS, *_SERVER_FAULTS]
            self._random.shuffle(kinds)
            self._deck += kinds
        drawn, self._deck = self._deck[:count], self._deck[count:]
        return drawn

    def _fault(self, stream: str, kind: str, *, skip: int, times: int) -> dict[str, Any]:
        fault = _FAULTS.get(kind) or _SERVER_FAULTS[kind]
        return {
            **fault,
            "endpoint": f"POST {stream}/search",
            "label": label(stream, kind),
            "skip": skip,
            "times": times,
        }

    def single(self) -> Plan:
        """Return a plan with one kind of disruption for each stream."""
        if not self._singles:
            cells = list(_OF_ONE_STREAM)
            self._random.shuffle(cells)
            size = len(STREAMS)
            self._singles = [cells[at : at + size] for at in range(0, len(cells), size)] + [
                [kind] for kind in _OF_ALL_STREAMS
            ]
        kinds = self._singles.pop(0)
        if TASK_KILLED in kinds:
            # Only the task of trips runs long enough without deferring.
            here, there = kinds.index(TASK_KILLED), STREAMS.index("trips")
            kinds[here], kinds[there] = kinds[there], kinds[here]
        alone = dict(zip(STREAMS, kinds * len(STREAMS) if len(kinds) == 1 else kinds, strict=False))
        disruptions = []
        if len(kinds) == 1:
            name = kinds[0]
            if name in _DAEMONS:
                disruptions.append(Disruption(8 + self._random.random() * 6, kill=name))
            else:
                disruptions.append(
                    Disruption(
                        0, faults=tuple(self._fault(stream, name, skip=3, times=1) for stream in STREAMS)
                    )
                )
        else:
            name = "one kind each"
            disruptions = self._disrupt_alone(alone)
        return Plan(name, 30.0, self._options(), tuple(disruptions), alone)

    def _disrupt_alone(self, alone: dict[str, str]) -> list[Disruption]:
        disruptions, faults, mutations = [], [], []
        for stream, kind in alone.items():
            if kind in _FAULTS:
                # Never twice in a row: the backoff would grow.
                for _ in range(3):
                    faults.append(self._fault(stream, kind, skip=self._random.randint(1, 3), times=1))
            elif kind in _MUTATIONS:
                mutations += [{**mutation, "stream": stream} for mutation in _mutations(kind)]
            elif kind == TASK_KILLED:
                disruptions.append(Disruption(7 + self._random.random() * 4, kill=kind, stream=stream))
        return [Disruption(0, tuple(faults), tuple(mutations)), *disruptions]

    def _options(self) -> dict[str, Any]:
        return {
            "seed": self._random.randint(1, 1_000_000),
            "order": self._random.choice(["created", "newest"]),
            "retry_after": self._random.choice(["seconds", "date", "none"]),
            "rate_limit_body": self._random.choice(["html", "json"]),
            "page_size_cap_is_silent": self._random.random() < 0.3,
        }
