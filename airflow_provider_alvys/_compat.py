"""What Airflow keeps in different places from version to version, found at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import conf
    from airflow.sdk.exceptions import AirflowSkipException
else:
    try:
        from airflow.sdk import conf
        from airflow.sdk.exceptions import AirflowSkipException
    except ImportError:  # Airflow 3.1
        from airflow.configuration import conf
        from airflow.exceptions import AirflowSkipException

__all__ = ["AirflowSkipException", "conf"]
