"""Apache Airflow provider for the public API of Alvys, a transportation management system."""

from __future__ import annotations

from typing import Any

__version__ = "0.2.0"

_EXPORTS = {
    "AlvysHook": "airflow_provider_alvys.hooks.alvys",
    "AlvysRequestOperator": "airflow_provider_alvys.operators.alvys",
    "AlvysSearchOperator": "airflow_provider_alvys.operators.alvys",
    "AlvysWriteOperator": "airflow_provider_alvys.operators.alvys",
    "AlvysReconcileOperator": "airflow_provider_alvys.operators.alvys",
    "AlvysToObjectStorageOperator": "airflow_provider_alvys.transfers.alvys_to_object_storage",
    "AlvysObjectStorageToSqlOperator": "airflow_provider_alvys.transfers.object_storage_to_sql",
    "AlvysSweepToObjectStorageOperator": "airflow_provider_alvys.transfers.alvys_to_object_storage",
    "AlvysDocumentsToObjectStorageOperator": "airflow_provider_alvys.transfers.documents_to_object_storage",
    "AlvysUploadDocumentOperator": "airflow_provider_alvys.operators.alvys",
    "AlvysRetryPolicy": "airflow_provider_alvys.retry_policy",
    "AlvysChangeTrigger": "airflow_provider_alvys.triggers.alvys",
    "RecentParents": "airflow_provider_alvys.landing.jobs.parents",
    "alvys_asset": "airflow_provider_alvys.assets",
    "alvys_documents_asset": "airflow_provider_alvys.assets",
    "alvys_table_asset": "airflow_provider_alvys.assets",
    "alvys_backfill": "airflow_provider_alvys.task_groups.sync",
    "alvys_first_load": "airflow_provider_alvys.task_groups.sync",
    "alvys_freshness": "airflow_provider_alvys.landing.freshness",
    "alvys_sync": "airflow_provider_alvys.task_groups.sync",
    "AlvysDocumentSensor": "airflow_provider_alvys.sensors.alvys",
    "AlvysLoadStatusSensor": "airflow_provider_alvys.sensors.alvys",
    "AlvysTripStatusSensor": "airflow_provider_alvys.sensors.alvys",
    "AlvysSearchSensor": "airflow_provider_alvys.sensors.alvys",
    "AlvysRecordLink": "airflow_provider_alvys.links",
    "AlvysWebhookMiddleware": "airflow_provider_alvys.webhook_middleware",
}

__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    # Airflow imports this package during its own import, so Airflow may only be imported on demand.
    if name in _EXPORTS:
        from importlib import import_module

        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
