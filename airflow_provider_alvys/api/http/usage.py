"""What a client spends on rate limits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from airflow_provider_alvys.api.http.clock import DeferRequested


class LimitUsage(msgspec.Struct, kw_only=True):
    """
    Waits for the pace, and after refusals.

    :param waited: seconds, of deferrals as well.
    :param refusals: responses with status 429.
    """

    waited: float = 0.0
    refusals: int = 0

    @contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        """Count a wait, which the block sleeps or defers."""
        try:
            yield
        except DeferRequested as wait:
            self.waited += seconds
            wait.counted = seconds
            raise
        self.waited += seconds

    def add(self, other: LimitUsage) -> None:
        """Add what another process has spent."""
        self.waited += other.waited
        self.refusals += other.refusals
