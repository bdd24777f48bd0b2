"""Differences between Airflow versions, detected at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import Connection
from airflow.sdk.log import mask_secret

if TYPE_CHECKING:
    from airflow.sdk import RetryDecision, RetryPolicy, conf
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        DuplicateTaskIdFound,
    )
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor
    from airflow.triggers.base import BaseEventTrigger

    HAS_RETRY_POLICY = True
    _amask_secret: Callable[[str], Awaitable[None]] | None
else:
    try:
        from airflow.sdk import conf
        from airflow.sdk.exceptions import (
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
            AirflowTaskTimeout,
        )
    except ImportError:  # Airflow 3.1
        from airflow.configuration import conf
        from airflow.exceptions import (
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSensorTimeout,
            AirflowSkipException,
            AirflowTaskTimeout,
        )

    try:
        from airflow.sdk.exceptions import DuplicateTaskIdFound
    except ImportError:  # Airflow 3.1
        from airflow.exceptions import DuplicateTaskIdFound

    try:
        from airflow.sdk import RetryDecision, RetryPolicy

        HAS_RETRY_POLICY = True
    except ImportError:  # before Airflow 3.3
        RetryDecision = None
        RetryPolicy = object
        HAS_RETRY_POLICY = False

    try:
        from airflow.sdk.log import amask_secret as _amask_secret
    except ImportError:  # before Airflow 3.3
        _amask_secret = None

__all__ = [
    "HAS_RESCHEDULE",
    "HAS_RETRY_POLICY",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "DuplicateTaskIdFound",
    "RetryDecision",
    "RetryPolicy",
    "amask_secret",
    "asset_stores",
    "conf",
    "get_stats",
    "has_async_connections",
    "run_in_airflow_thread",
]

T = TypeVar("T")

# From Airflow 3.4 on a retry policy may run a task again without spending a retry (RetryAction.RESCHEDULE).
HAS_RESCHEDULE = hasattr(RetryDecision, "reschedule")

# Before 3.3.2 a connection lookup on an event loop may raise DeadlockImminentError. Before 3.3 a call to
# Airflow from another thread of a triggerer may hang, except in asgiref's thread.
has_async_connections = hasattr(Connection, "aextra_dejson")


def run_in_airflow_thread(function: Callable[[], T]) -> Awaitable[T]:
    """Call a function that calls Airflow, in a thread where that is safe in a triggerer."""
    from asgiref.sync import sync_to_async

    return sync_to_async(function)()


async def amask_secret(secret: str) -> None:
    """Mask a secret in all logs, from an event loop."""
    if _amask_secret is not None:
        await _amask_secret(secret)
    else:
        await run_in_airflow_thread(lambda: mask_secret(secret))


def get_stats() -> Any:
    """Return Airflow's metrics. It reports what it cannot send in the log, and raises nothing."""
    try:
        from airflow.sdk.observability.stats import Stats
    except ImportError:  # Airflow 3.1
        from airflow.stats import Stats
    return Stats


def asset_stores(trigger: BaseEventTrigger) -> list[AssetStateStoreAccessor]:
    """Return the state stores of a watcher's assets; an empty list before Airflow 3.3."""
    stores = getattr(trigger, "asset_state_store", None)
    # Airflow runs watchers with the same arguments as one, and has no public way to list their assets.
    return [] if stores is None else [*stores._by_name.values(), *stores._by_uri.values()]
