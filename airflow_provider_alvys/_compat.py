"""What Airflow keeps in different places from version to version, or does not have, found at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import RetryDecision, RetryPolicy, conf
    from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException

    HAS_RETRY_POLICY = True
else:
    try:
        from airflow.sdk import conf
        from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException
    except ImportError:  # Airflow 3.1
        from airflow.configuration import conf
        from airflow.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException

    try:
        from airflow.sdk import RetryDecision, RetryPolicy

        HAS_RETRY_POLICY = True
    except ImportError:  # before Airflow 3.3
        RetryDecision = None
        RetryPolicy = object
        HAS_RETRY_POLICY = False

__all__ = [
    "HAS_RETRY_POLICY",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "RetryDecision",
    "RetryPolicy",
    "conf",
]
