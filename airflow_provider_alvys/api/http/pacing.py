"""Client-side pacing: as many requests as the documented limits allow, without running into a 429."""

from __future__ import annotations

import logging
import math
import threading
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.catalogue.limits import DEFAULT_LIMIT, REQUESTS_PER_SECOND, limit_of
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, Clock
from airflow_provider_alvys.api.http.shared_pace import EndpointPace, PaceFile, PaceFolder
from airflow_provider_alvys.api.http.usage import LimitUsage

log = logging.getLogger(__name__)

_MINUTE = 60.0
# Margin for clocks that drift and for requests that overtake each other.
_MARGIN = 1.02
# How long the pace stays reduced after a 429: a pacer can live for weeks, and other clients stop.
_REDUCED_FOR = 3600.0


@dataclass
class _Bucket:
    """A sliding window: at most ``limit`` responses in any ``period`` seconds, ``spacing`` seconds apart."""

    limit: int
    period: float
    spacing: float = 0.0
    timestamps: list[float] = field(default_factory=list)
    consecutive_429s: int = 0
    # The limit before it was reduced, or 0.
    normal_limit: int = 0
    reduced_at: float = 0.0
    # The last reduction that this process has made or met.
    reduced_here_at: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)
    # None if other processes do not share it.
    file: PaceFile | None = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep out other threads and processes during the block, which begins with their state."""
        with self.lock:
            if self.file is None:
                yield
                return
            with self.file.locked():
                known = self.file.read()
                if known is not None:
                    self._load(known)
                try:
                    yield
                finally:
                    self.file.write(self.save())

    def save(self) -> EndpointPace:
        return EndpointPace(
            timestamps=list(self.timestamps),
            limit=self.limit,
            consecutive_429s=self.consecutive_429s,
            reduced_at=self.reduced_at if self.normal_limit else 0.0,
        )

    def _load(self, known: EndpointPace) -> None:
        self.timestamps = list(known.timestamps)
        self.limit, self.normal_limit, self.reduced_at = self.normal_limit or self.limit, 0, 0.0
        self.reduce(known.limit, known.reduced_at)

    def replace(self, sent: float, answered: float) -> None:
        """Count a request from its response on, instead of from its sending."""
        if sent in self.timestamps:
            self.timestamps.remove(sent)
        insort(self.timestamps, answered)

    def wait_seconds(self, now: float) -> float:
        if self.normal_limit and now - self.reduced_at > _REDUCED_FOR:
            self.limit, self.normal_limit = self.normal_limit, 0
        # A timestamp in the future comes from another machine's clock, or ours was set back.
        self.timestamps = [min(time, now) for time in self.timestamps if time > now - self.period * _MARGIN]
        until = now
        if len(self.timestamps) >= self.limit:
            until = self.timestamps[-self.limit] + self.period * _MARGIN
        if self.timestamps and self.spacing:
            until = max(until, self.timestamps[-1] + self.spacing * _MARGIN)
        return until - now

    def reduce(self, limit: int, now: float) -> None:
        if limit < self.limit:
            self.normal_limit = self.normal_limit or self.limit
            self.limit = limit
        self.reduced_at = max(self.reduced_at, now)


class Pacer:
    """
    Delay requests to the pace that Alvys documents, for one API client.

    :param requests_per_minute: the pace of the endpoints with the usual limit of 10 a minute; 0 for no
        pacing, None for the documented limits. The pace of the other endpoints changes by the same factor:
        with 600, an endpoint with a limit of 5 gets 300 a minute.
    :param shared_as: a name; the processes of this user on this machine that give the same one keep one pace.
        Empty for a pace of its own.
    """

    def __init__(
        self,
        requests_per_minute: float | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        shared_as: str = "",
    ) -> None:
        self._rate = requests_per_minute
        self._clock = clock
        self._shared_as = shared_as
        self._folder = PaceFolder(clock)
        self._buckets: dict[str, _Bucket] = {}
        self._all_endpoints = _Bucket(REQUESTS_PER_SECOND, 1.0, file=self._file("*"))
        self._lock = threading.Lock()

    @contextmanager
    def slot(
        self, endpoint: Endpoint, clock: Clock | None = None, usage: LimitUsage | None = None
    ) -> Iterator[None]:
        """
        Wait until a request may be sent, and count it when the block ends, answered or not.

        Threads of this process take turns. Processes that share the pace may send at the same time.

        :param clock: to wait by; None means the pacer's own.
        :param usage: counts the waits.
        """
        if self._rate == 0:
            yield
            return
        clock, usage = clock or self._clock, usage or LimitUsage()
        bucket = self._bucket(str(endpoint))
        with bucket.lock:
            while True:
                seconds, sent = self._reserve(bucket, clock)
                if seconds <= 0:
                    break
                limit = f"{counted(bucket.limit, 'requests')} per {bucket.period:g} s"
                with usage.waiting(seconds):
                    clock.wait(seconds, f"rate limit of {endpoint}, {limit}")
            try:
                yield
            finally:
                self._count(bucket, sent, clock)

    def _reserve(self, bucket: _Bucket, clock: Clock) -> tuple[float, float]:
        """Return the seconds to wait, and the time. Count a request if that is 0: its process may die."""
        # The limit per token is a default of Alvys; a rate on the connection replaces it.
        overall = self._all_endpoints if self._rate is None else None
        with bucket.exclusive(), overall.exclusive() if overall else nullcontext():
            now = clock.time()
            seconds = max(bucket.wait_seconds(now), overall.wait_seconds(now) if overall else 0.0)
            if seconds <= 0:
                bucket.timestamps.append(now)
                if overall:
                    overall.timestamps.append(now)
        return seconds, now

    def _count(self, bucket: _Bucket, sent: float, clock: Clock) -> None:
        now = clock.time()
        with bucket.exclusive():
            bucket.replace(sent, now)
        if self._rate is None:
            with self._all_endpoints.exclusive():
                self._all_endpoints.replace(sent, now)

    def rate(self, endpoint: Endpoint) -> float:
        """Return the highest number of requests a minute."""
        bucket = self._bucket(str(endpoint))
        return math.inf if self._rate == 0 else bucket.limit / bucket.period * _MINUTE

    def seconds_until(self, endpoint: Endpoint, requests: int) -> float:
        """Return in how many seconds the last of some further requests may be sent."""
        if self._rate == 0 or requests < 1:
            return 0.0
        now = self._clock.time()
        bucket = replace(self._bucket(str(endpoint)), lock=threading.RLock(), file=None)
        seconds = 0.0
        for _ in range(requests):
            seconds += max(0.0, bucket.wait_seconds(now + seconds))
            bucket.timestamps.append(now + seconds)
        return seconds

    def consecutive_429s(self, endpoint: Endpoint) -> int:
        """Return the number of 429s since the last other response."""
        return self._bucket(str(endpoint)).consecutive_429s

    def reset_429s(self, endpoint: Endpoint) -> None:
        """Record a response that is not a 429."""
        self._bucket(str(endpoint)).consecutive_429s = 0

    def record_429(self, endpoint: Endpoint) -> None:
        """Record a 429. The first one halves the pace: we kept the limit, so others use the same budget."""
        bucket = self._bucket(str(endpoint))
        with bucket.exclusive():
            bucket.consecutive_429s += 1
            if self._rate == 0 or bucket.consecutive_429s > 1:
                return
            now = self._clock.time()
            # Another process may have met the same block, and reduced the pace for all.
            is_reduced_elsewhere = bucket.reduced_at > bucket.reduced_here_at
            if not is_reduced_elsewhere or now - bucket.reduced_at > self.block_seconds(endpoint):
                # Not below a quarter of the documented limit.
                bucket.reduce(max(1, limit_of(endpoint).requests // 4, bucket.limit // 2), now)
            bucket.reduced_here_at = bucket.reduced_at
            log.warning(
                "Rate-limited (429) on %s. Reducing the pace to %d requests per %g s for one hour",
                endpoint,
                bucket.limit,
                bucket.period,
            )
            log.warning("%s", self.advise_on_429())

    def advise_on_429(self) -> str:
        """Return why Alvys may have answered 429 although requests are paced, and what to do about it."""
        if self._rate is not None and not 0 < self._rate <= DEFAULT_LIMIT.requests:
            is_off = "turns pacing off" if self._rate == 0 else "is more than Alvys documents"
            return (
                f"requests_per_minute={self._rate:g} on the connection {is_off}: leave it empty to keep the "
                f"documented limits, or set it to what Alvys allows in place of {DEFAULT_LIMIT.requests} a "
                "minute, shared by all tasks and programs with these credentials"
            )
        return (
            "Something else uses the same credentials, such as a task on another worker: put the tasks that "
            "land into one pool, alvys (docs/limits.md), or lower requests_per_minute on the connection"
        )

    def block_seconds(self, endpoint: Endpoint) -> float:
        """Return how long Alvys blocks an endpoint after a 429; proportionally less for a faster pace."""
        limit = limit_of(endpoint)
        return limit.block * min(1.0, _scale(self._rate))

    def timestamps(self) -> dict[str, list[float]]:
        """Return when the last requests were answered, by endpoint, in seconds since 1970."""
        return {name: pace.timestamps for name, pace in self.save().items() if pace.timestamps}

    def add_timestamps(self, timestamps: Mapping[str, Sequence[float]]) -> None:
        """Count requests of an earlier task, as :meth:`timestamps` returned them."""
        for name, known in timestamps.items():
            bucket = self._bucket(name)
            with bucket.exclusive():
                bucket.timestamps = sorted({*bucket.timestamps, *known})

    def save(self) -> dict[str, EndpointPace]:
        """Return the state by endpoint, for another process to restore."""
        with self._lock:
            buckets = dict(self._buckets)
        return {name: bucket.save() for name, bucket in buckets.items()}

    def restore(self, paces: Mapping[str, EndpointPace]) -> None:
        """Continue from what :meth:`save` returned."""
        self.add_timestamps({name: pace.timestamps for name, pace in paces.items()})
        for name, pace in paces.items():
            bucket = self._bucket(name)
            with bucket.exclusive():
                bucket.reduce(pace.limit, pace.reduced_at or self._clock.time())
                bucket.consecutive_429s = max(bucket.consecutive_429s, pace.consecutive_429s)

    def _file(self, endpoint: str) -> PaceFile | None:
        if not self._shared_as or self._rate == 0:
            return None
        return PaceFile(self._folder, f"{self._shared_as} {self._rate} {endpoint}")

    def _bucket(self, endpoint: str) -> _Bucket:
        with self._lock:
            bucket = self._buckets.get(endpoint)
            if bucket is None:
                method, _, template = endpoint.partition(" ")
                bucket = _make_bucket(Endpoint(method, template), self._rate)
                bucket.file = self._file(endpoint)
                self._buckets[endpoint] = bucket
            return bucket


def _scale(rate: float | None) -> float:
    """Return how many minutes the documented requests of any endpoint take at a rate."""
    return DEFAULT_LIMIT.requests / rate if rate else 1.0


def _make_bucket(endpoint: Endpoint, rate: float | None) -> _Bucket:
    limit, scale, usual = limit_of(endpoint), _scale(rate), DEFAULT_LIMIT.requests
    # A rate below the documented limit is kept within each minute, not only on average.
    count = min(limit.requests, max(1, int(limit.requests * (rate or usual) / usual)))
    return _Bucket(count, _MINUTE * scale * count / limit.requests, limit.spacing * scale)


def estimate_seconds(endpoint: Endpoint, requests: int, rate: float | None) -> float:
    """
    Return how long a number of requests takes for one task alone, if responses come at once.

    :param rate: requests per minute; 0 for no pacing, None for the documented limit.
    """
    if rate == 0 or requests < 1:
        return 0.0
    bucket = _make_bucket(endpoint, rate)
    periods, rest = divmod(requests - 1, bucket.limit)
    return (periods * bucket.period + rest * bucket.spacing) * _MARGIN


_pacers: dict[tuple[str, float | None], Pacer] = {}
_pacers_lock = threading.Lock()


def shared_pacer(budget: str, requests_per_minute: float | None) -> Pacer:
    """Return this process's only pacer for a budget, as named by AlvysClient.budget; processes share it."""
    with _pacers_lock:
        key = (budget, requests_per_minute)
        return _pacers.setdefault(key, Pacer(requests_per_minute, shared_as=budget))
