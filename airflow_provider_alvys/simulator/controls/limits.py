"""Enforcement of the documented rate limits."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.catalogue.limits import limit_of


@dataclass
class _Window:
    arrivals: deque[float] = field(default_factory=deque)
    blocked_until: float = 0.0


class RateLimiter:
    """
    Count requests in a sliding minute; too many block an endpoint for its documented time.

    :param minute: length of a minute in seconds.
    """

    def __init__(self, minute: float) -> None:
        self._minute = minute
        self._windows: dict[tuple[str, str], _Window] = {}

    def admits(self, client_id: str, endpoint: Endpoint, now: float) -> bool:
        """Return whether a request at this time is within the limit."""
        limit = limit_of(endpoint)
        scale = self._minute / 60
        window = self._windows.setdefault((client_id, str(endpoint)), _Window())
        if now < window.blocked_until:
            return False
        while window.arrivals and window.arrivals[0] <= now - self._minute:
            window.arrivals.popleft()
        too_soon = bool(window.arrivals) and now - window.arrivals[-1] < limit.spacing * scale
        if too_soon or len(window.arrivals) >= limit.requests:
            window.blocked_until = now + limit.block * scale
            return False
        window.arrivals.append(now)
        return True

    @property
    def retry_after(self) -> float:
        """Retry-After in seconds: a minute, as Alvys sends it, even where the block lasts longer."""
        return self._minute
