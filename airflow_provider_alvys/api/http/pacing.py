"""The pace: as many requests as the documented limits allow, and none that meets a 429."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.catalogue.limits import REQUESTS_PER_SECOND, Limit, limit_of
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger(__name__)

_MINUTE = 60.0
# Room for clocks that run unevenly and for answers that overtake each other.
_SPARE = 1.02
# How long a pace stays lowered after a 429. A triggerer lives for weeks, and who used the budget may be gone long since.
_LOWERED_FOR = 3600.0


class EndpointPace(msgspec.Struct, kw_only=True):
    """
    What a task knows of one endpoint's budget.

    :param stamps: when the last requests were answered, in seconds since 1970.
    :param count: how many may be made in the limit's time: less than documented after a 429.
    :param refusals: 429s in a row, up to now.
    :param lowered_at: since when it is less, in seconds since 1970; 0 where it is not.
    """

    stamps: list[float]
    count: int
    refusals: int
    lowered_at: float = 0.0


@dataclass
class _Bucket:
    """
    A sliding window: at most ``count`` answers in any ``period`` seconds, ``spacing`` apart.

    ``refusals`` are 429s in a row; ``full`` is what ``count`` was before it was lowered, or 0.
    """

    count: int
    period: float
    spacing: float = 0.0
    stamps: list[float] = field(default_factory=list)
    refusals: int = 0
    full: int = 0
    lowered_at: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def wait_seconds(self, now: float) -> float:
        if self.full and now - self.lowered_at > _LOWERED_FOR:
            self.count, self.full = self.full, 0
        # A stamp from the future is another machine's clock, or ours set back.
        self.stamps = [min(stamp, now) for stamp in self.stamps if stamp > now - self.period * _SPARE]
        until = now
        if len(self.stamps) >= self.count:
            until = self.stamps[-self.count] + self.period * _SPARE
        if self.stamps and self.spacing:
            until = max(until, self.stamps[-1] + self.spacing * _SPARE)
        return until - now

    def lower(self, count: int, now: float) -> None:
        if count < self.count:
            self.full = self.full or self.count
            self.count = count
        self.lowered_at = max(self.lowered_at, now)


class Pacer:
    """
    Let requests through at the pace that Alvys documents, for one API client.

    :param requests_per_minute: another figure for every endpoint, or 0 for no pacing. None means the documented one.
        The documented number of requests then goes through in a proportionally shorter (or longer) time.
    """

    def __init__(self, requests_per_minute: float | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._rate = requests_per_minute
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._all = _Bucket(REQUESTS_PER_SECOND, 1.0)
        self._lock = threading.Lock()
        self._told = False

    @contextmanager
    def turn(self, endpoint: Endpoint, clock: Clock | None = None) -> Iterator[None]:
        """
        Wait until a request may be sent, and count it when the block ends, that is, from its answer.

        A request counts whether it was answered or timed out. Threads of this process take turns.

        :param clock: by which this one waits; None means the pacer's own.
        """
        if self._rate == 0:
            yield
            return
        clock = clock or self._clock
        bucket = self._bucket(endpoint)
        with bucket.lock:
            self._wait(endpoint, bucket, clock)
            try:
                yield
            finally:
                now = clock.time()
                bucket.stamps.append(now)
                if self._rate is None:
                    with self._all.lock:
                        self._all.stamps.append(now)

    def _wait(self, endpoint: Endpoint, bucket: _Bucket, clock: Clock) -> None:
        while True:
            now = clock.time()
            with self._all.lock:
                # The per-token rule is Alvys's default; who set a figure of their own knows better.
                overall = self._all.wait_seconds(now) if self._rate is None else 0.0
            seconds = max(bucket.wait_seconds(now), overall)
            if seconds <= 0:
                return
            if not self._told:
                self._told = True
                log.info(
                    "Pacing %s at %d requests per %g s, %s. Set requests_per_minute on the connection to change it.",
                    endpoint,
                    bucket.count,
                    bucket.period,
                    "as Alvys documents" if self._rate is None else "as the connection says",
                )
            clock.sleep(seconds)

    def answered(self, endpoint: Endpoint) -> None:
        """Take note of an answer that is no 429."""
        self._bucket(endpoint).refusals = 0

    def refusals(self, endpoint: Endpoint) -> int:
        """Return how many 429s in a row there were, up to now."""
        return self._bucket(endpoint).refusals

    def refused(self, endpoint: Endpoint) -> None:
        """Take note of a 429. The first means that others use the budget too, since we kept the pace: our half of it is less."""
        bucket = self._bucket(endpoint)
        with bucket.lock:
            bucket.refusals += 1
            if self._rate == 0 or bucket.refusals > 1:
                return
            # Down to a quarter: less would be standing still.
            bucket.lower(max(1, limit_of(endpoint).requests // 4, bucket.count // 2), self._clock.time())
            log.warning(
                "%s was refused (429) although this task kept the pace: something else uses the same budget. "
                "Going on at %d requests per %g s for an hour.",
                endpoint,
                bucket.count,
                bucket.period,
            )

    def block_seconds(self, endpoint: Endpoint) -> float:
        """Return how long Alvys blocks an endpoint after a 429; for a faster pace than documented, less in proportion."""
        limit = limit_of(endpoint)
        return limit.block * min(1.0, _scale(limit, self._rate))

    def stamps(self) -> dict[str, list[float]]:
        """Return when the last requests were answered, by endpoint, in seconds since 1970."""
        with self._lock:
            buckets = dict(self._buckets)
        return {name: list(bucket.stamps) for name, bucket in buckets.items() if bucket.stamps}

    def remember(self, stamps: Mapping[str, Sequence[float]]) -> None:
        """Count requests that an earlier task made, as :meth:`stamps` gave them."""
        for name, known in stamps.items():
            method, _, template = name.partition(" ")
            bucket = self._bucket(Endpoint(method, template))
            with bucket.lock:
                bucket.stamps = sorted({*bucket.stamps, *known})

    def save(self) -> dict[str, EndpointPace]:
        """Return all that is known, by endpoint, for another process to go on with the same task."""
        with self._lock:
            buckets = dict(self._buckets)
        return {
            name: EndpointPace(
                stamps=list(bucket.stamps),
                count=bucket.count,
                refusals=bucket.refusals,
                lowered_at=bucket.lowered_at if bucket.full else 0.0,
            )
            for name, bucket in buckets.items()
        }

    def resume(self, paces: Mapping[str, EndpointPace]) -> None:
        """Go on from what :meth:`save` returned."""
        self.remember({name: pace.stamps for name, pace in paces.items()})
        for name, pace in paces.items():
            method, _, template = name.partition(" ")
            bucket = self._bucket(Endpoint(method, template))
            with bucket.lock:
                bucket.lower(pace.count, pace.lowered_at or self._clock.time())
                bucket.refusals = max(bucket.refusals, pace.refusals)

    def _bucket(self, endpoint: Endpoint) -> _Bucket:
        with self._lock:
            bucket = self._buckets.get(str(endpoint))
            if bucket is None:
                bucket = self._buckets[str(endpoint)] = _make_bucket(endpoint, self._rate)
            return bucket


def _scale(limit: Limit, rate: float | None) -> float:
    """Return the time that ``limit.requests`` take at a rate, as a multiple of a minute."""
    return limit.requests / rate if rate else 1.0


def _make_bucket(endpoint: Endpoint, rate: float | None) -> _Bucket:
    limit = limit_of(endpoint)
    # A rate below the documented number is kept within each minute, not on average only.
    count = limit.requests if not rate else max(1, min(limit.requests, int(rate)))
    period = _MINUTE * (count / rate if rate else 1.0)
    return _Bucket(count, period, limit.spacing * _scale(limit, rate))


def seconds_for(endpoint: Endpoint, requests: int, rate: float | None) -> float:
    """
    Return how long a number of requests takes at a pace, one task alone, answers without delay.

    :param rate: requests per minute; 0 for no pacing, None for the documented limit.
    """
    if rate == 0 or requests < 1:
        return 0.0
    bucket = _make_bucket(endpoint, rate)
    rounds, rest = divmod(requests - 1, bucket.count)
    return (rounds * bucket.period + rest * bucket.spacing) * _SPARE


_pacers: dict[tuple[str, float | None], Pacer] = {}
_pacers_lock = threading.Lock()


def shared_pacer(budget: str, requests_per_minute: float | None) -> Pacer:
    """
    Return this process's only pacer for a budget.

    :param budget: whose requests count together, as :func:`airflow_provider_alvys.api.http.client.budget_of` names it.
    """
    with _pacers_lock:
        key = (budget, requests_per_minute)
        return _pacers.setdefault(key, Pacer(requests_per_minute))
