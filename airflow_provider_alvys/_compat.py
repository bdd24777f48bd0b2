"""What Airflow keeps in different places from version to version, or does not have, found at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

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
    "HAS_RETRY_POLICY",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "RetryDecision",
    "RetryPolicy",
    "amask_secret",
    "has_async_connections",
    "asset_stores",
    "conf",
    "run_in_airflow_thread",
]

T = TypeVar("T")

# Before 3.3.2, looking up a connection on an event loop may raise DeadlockImminentError, and before 3.3 a thread of one's own
# that asks Airflow anything in a triggerer may hang. What asgiref calls in its thread finds the way back to the loop.
has_async_connections = hasattr(Connection, "aextra_dejson")


def run_in_airflow_thread(function: Callable[[], T]) -> Awaitable[T]:
    """Return what awaits a function that asks Airflow something, called in a thread in which it may."""
    from asgiref.sync import sync_to_async

    return sync_to_async(function)()


async def amask_secret(secret: str) -> None:
    """Have a secret masked in every log, from an event loop."""
    if _amask_secret is not None:
        await _amask_secret(secret)
    else:
        await run_in_airflow_thread(lambda: mask_secret(secret))


def asset_stores(trigger: BaseEventTrigger) -> list[AssetStateStoreAccessor]:
    """Return the state store of each asset that a watcher is for; none before Airflow 3.3."""
    stores = getattr(trigger, "asset_state_store", None)
    # Watchers with the same arguments are one, for several assets, and then Airflow has no public way to name them.
    return [] if stores is None else [*stores._by_name.values(), *stores._by_uri.values()]
