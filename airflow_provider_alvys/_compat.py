"""What Airflow keeps in different places from version to version, or does not have, found at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import RetryDecision, RetryPolicy, conf
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
    from airflow.sdk.execution_time.context import AssetStateStoreAccessor
    from airflow.triggers.base import BaseEventTrigger

    HAS_RETRY_POLICY = True
else:
    try:
        from airflow.sdk import conf
        from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
    except ImportError:  # Airflow 3.1
        from airflow.configuration import conf
        from airflow.exceptions import AirflowFailException, AirflowSkipException

    try:
        from airflow.sdk import RetryDecision, RetryPolicy

        HAS_RETRY_POLICY = True
    except ImportError:  # before Airflow 3.3
        RetryDecision = None
        RetryPolicy = object
        HAS_RETRY_POLICY = False


def asset_stores(trigger: BaseEventTrigger) -> list[AssetStateStoreAccessor]:
    """Return the state store of each asset that a watcher is for; none before Airflow 3.3."""
    stores = getattr(trigger, "asset_state_store", None)
    # Watchers with the same arguments are one, for several assets, and then Airflow has no public way to name them.
    return [] if stores is None else [*stores._by_name.values(), *stores._by_uri.values()]


__all__ = [
    "HAS_RETRY_POLICY",
    "AirflowFailException",
    "AirflowSkipException",
    "RetryDecision",
    "RetryPolicy",
    "asset_stores",
    "conf",
]
