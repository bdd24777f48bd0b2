"""What is done to a round, and when: all of it follows from the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

# The streams that are synced; each has an endpoint of its own.
STREAMS = ("loads", "trips", "invoices", "drivers", "customers")
CAP = 13

_FAULTS: dict[str, dict[str, Any]] = {
    "429 as a page, Retry-After in seconds": {
        "kind": "status",
        "status": 429,
        "body": "html",
        "retry_after": "2",
    },
    "429 as JSON, Retry-After as a date": {"kind": "status", "status": 429, "retry_after": "date+2"},
    "429 without Retry-After": {"kind": "status", "status": 429, "body": "html"},
    "500": {"kind": "status", "status": 500, "body": "html"},
    "503 with Retry-After": {"kind": "status", "status": 503, "retry_after": "1.5"},
    "no answer in time": {"kind": "timeout", "seconds": 4.0},
    "connection reset": {"kind": "reset"},
    "body cut off": {"kind": "truncate"},
    "body not UTF-8": {"kind": "bad_utf8"},
    "web page with status 200": {"kind": "html"},
    "stray 404": {"kind": "status", "status": 404},
    "401 in mid-walk": {"kind": "status", "status": 401},
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
TASK_KILLED = "worker killed"
_REVOKED = "all tokens revoked"
_CAPPED = "smaller pages from now on"
# Who is killed, and whether with all of its processes.
_DAEMONS = {
    "triggerer killed": ("triggerer", True),
    "scheduler killed": ("scheduler", False),
    "scheduler killed with its workers": ("scheduler", True),
}
_KILLS_OF_SCHEDULER = ("scheduler killed", "scheduler killed with its workers")
_ANYWHERE: dict[str, dict[str, Any]] = {_REVOKED: {"kind": "revoke"}, _CAPPED: {"kind": "cap", "cap": CAP}}
NOTHING = "nothing"

# Everything that is done, in the order of the table.
KINDS = (*_FAULTS, *_ANYWHERE, *_MUTATIONS, TASK_KILLED, *_DAEMONS)
_OF_ONE_STREAM = (*_FAULTS, *_MUTATIONS, TASK_KILLED, NOTHING)
_OF_ALL_STREAMS = (*_ANYWHERE, *_DAEMONS)


@dataclass(frozen=True)
class Blow:
    """
    Something that is done to a round.

    :param at: seconds after its start.
    :param faults: that are ordered in the place of those before.
    :param mutations: that are ordered in the place of those before.
    :param kill: what kind of kill this is; None for an order.
    :param stream: whose task is killed; None for any.
    """

    at: float
    faults: tuple[dict[str, Any], ...] = ()
    mutations: tuple[dict[str, Any], ...] = ()
    kill: str | None = None
    stream: str | None = None


@dataclass(frozen=True)
class Plan:
    """
    A round.

    :param name: ``storm``, or what each stream suffers alone.
    :param seconds: after which it grows quiet.
    :param alone: what each stream suffers, where that is one thing; the table's account is drawn from these.
    """

    name: str
    seconds: float
    options: dict[str, Any]
    blows: tuple[Blow, ...]
    alone: dict[str, str] = field(default_factory=dict)

    @property
    def kills(self) -> int:
        """How many kills it has."""
        return sum(blow.kill is not None for blow in self.blows)


def daemon_of(kind: str) -> tuple[str, bool]:
    """Return which daemon a kill is for, and whether its descendants are killed, too."""
    return _DAEMONS[kind]


def label(stream: str, kind: str) -> str:
    """Return the name under which the simulator counts it."""
    return f"{stream}:{kind}"


def _mutations(kind: str) -> list[dict[str, Any]]:
    return [{**mutation, "label": kind} for mutation in _MUTATIONS[kind]]


class Plans:
    """
    Make the plans of the rounds, one after the other.

    :param seed: the same seed makes the same plans.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._deck: list[str] = []
        self._singles: list[list[str]] = []

    def storm(self, seconds: float = 45.0, kills: Sequence[str] = (), **options: Any) -> Plan:
        """
        Return a round in which everything happens at once.

        :param kills: of daemons; two workers are killed beside.
        :param options: of the simulator.
        """
        blows = [self._order(at) for at in (0.0, seconds * 0.25, seconds * 0.5, seconds * 0.75)]
        chosen = list(kills) or [
            "triggerer killed",
            self._random.choice(["scheduler killed", "scheduler killed with its workers"]),
        ]
        for number, kind in enumerate([TASK_KILLED, chosen[0], TASK_KILLED, *chosen[1:]]):
            # One after the other: what is killed has to be there again.
            at = 6 + (seconds - 8) * (number + self._random.random() * 0.7) / (len(chosen) + 2)
            blows.append(Blow(at, kill=kind))
        return Plan(
            "storm", seconds, self._options() | options, tuple(sorted(blows, key=lambda blow: blow.at))
        )

    def _order(self, at: float) -> Blow:
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
        return Blow(at, tuple(faults), tuple(mutations))

    def _draw(self, count: int) -> list[str]:
        while len(self._deck) < count:
            fresh = [*_FAULTS, *_ANYWHERE]
            self._random.shuffle(fresh)
            self._deck += fresh
        drawn, self._deck = self._deck[:count], self._deck[count:]
        return drawn

    def _fault(self, stream: str, kind: str, *, skip: int, times: int) -> dict[str, Any]:
        fault = _FAULTS.get(kind) or _ANYWHERE[kind]
        return {
            **fault,
            "endpoint": f"POST {stream}/search",
            "label": label(stream, kind),
            "skip": skip,
            "times": times,
        }

    def single(self) -> Plan:
        """Return a round in which each stream suffers one thing alone."""
        if not self._singles:
            cells = list(_OF_ONE_STREAM)
            self._random.shuffle(cells)
            size = len(STREAMS)
            self._singles = [cells[at : at + size] for at in range(0, len(cells), size)] + [
                [kind] for kind in _OF_ALL_STREAMS
            ]
        kinds = self._singles.pop(0)
        if TASK_KILLED in kinds:
            # The only task that is long and always at work.
            here, there = kinds.index(TASK_KILLED), STREAMS.index("trips")
            kinds[here], kinds[there] = kinds[there], kinds[here]
        alone = dict(zip(STREAMS, kinds * len(STREAMS) if len(kinds) == 1 else kinds, strict=False))
        blows = []
        if len(kinds) == 1:
            name = kinds[0]
            if name in _DAEMONS:
                blows.append(Blow(8 + self._random.random() * 6, kill=name))
            else:
                blows.append(
                    Blow(0, faults=tuple(self._fault(stream, name, skip=3, times=1) for stream in STREAMS))
                )
        else:
            name = "one thing each"
            blows = self._blows_alone(alone)
        return Plan(name, 30.0, self._options(), tuple(blows), alone)

    def _blows_alone(self, alone: dict[str, str]) -> list[Blow]:
        blows, faults, mutations = [], [], []
        for stream, kind in alone.items():
            if kind in _FAULTS:
                # Never twice in a row, which would be a second kind of trouble.
                for _ in range(3):
                    faults.append(self._fault(stream, kind, skip=self._random.randint(1, 3), times=1))
            elif kind in _MUTATIONS:
                mutations += [{**mutation, "stream": stream} for mutation in _mutations(kind)]
            elif kind == TASK_KILLED:
                blows.append(Blow(7 + self._random.random() * 4, kill=kind, stream=stream))
        return [Blow(0, tuple(faults), tuple(mutations)), *blows]

    def _options(self) -> dict[str, Any]:
        return {
            "seed": self._random.randint(1, 1_000_000),
            "order": self._random.choice(["created", "newest"]),
            "retry_after": self._random.choice(["seconds", "date", "none"]),
            "rate_limit_body": self._random.choice(["html", "json"]),
            "page_size_cap_is_silent": self._random.random() < 0.3,
        }
