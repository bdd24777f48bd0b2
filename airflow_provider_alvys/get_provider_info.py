"""
Provider metadata for Airflow's discovery of providers.

Do not import Airflow here, nor in what this imports: discovery runs while ``airflow.configuration`` is
imported.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_alvys import connection_form

_NAME = "Alvys"
_OPERATORS = [f"airflow_provider_alvys.operators.{name}" for name in ("alvys", "documents", "writes")]
_CHECKS = ["airflow_provider_alvys.operators.reconcile"]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, in the form of ``airflow/provider_info.schema.json``."""
    return {
        # Must equal the distribution's name.
        "package-name": "airflow-provider-alvys",
        "name": _NAME,
        "description": "Alvys, a transportation management system: sync to files and SQL, wait, write back.",
        "integrations": [
            {"integration-name": _NAME, "external-doc-url": "https://docs.alvys.com/", "tags": ["service"]}
        ],
        "hooks": [{"integration-name": _NAME, "python-modules": ["airflow_provider_alvys.hooks.alvys"]}],
        "operators": [
            {"integration-name": _NAME, "python-modules": modules} for modules in (_OPERATORS, _CHECKS)
        ],
        "sensors": [{"integration-name": _NAME, "python-modules": ["airflow_provider_alvys.sensors.alvys"]}],
        "triggers": [
            {"integration-name": _NAME, "python-modules": ["airflow_provider_alvys.triggers.alvys"]}
        ],
        "transfers": [
            {
                "source-integration-name": _NAME,
                "target-integration-name": "Object storage",
                "python-module": "airflow_provider_alvys.transfers.alvys_to_object_storage",
            },
            {
                "source-integration-name": _NAME,
                "target-integration-name": "Object storage",
                "python-module": "airflow_provider_alvys.transfers.documents_to_object_storage",
            },
            {
                "source-integration-name": _NAME,
                "target-integration-name": "SQL",
                "python-module": "airflow_provider_alvys.transfers.object_storage_to_sql",
            },
        ],
        # Airflow 3.2 and later; 3.1 ignores it.
        "cli": ["airflow_provider_alvys.cli.definition.get_cli_commands"],
        "extra-links": ["airflow_provider_alvys.links.AlvysRecordLink"],
        "config": {
            "alvys": {
                "description": "Settings of the Alvys provider.",
                "options": {
                    "pool": {
                        "description": "The pool of tasks that land Alvys's data and name no pool. Create it "
                        "first, with deferred tasks included: a task whose pool does not exist never runs.",
                        "version_added": None,
                        "type": "string",
                        "example": "alvys",
                        "default": None,
                    },
                    "status_page": {
                        "description": "Whether Airflow's UI has the status page: in the navigation, on each "
                        "DAG and as a card on the home page.",
                        "version_added": None,
                        "type": "boolean",
                        "example": None,
                        "default": "True",
                    },
                    "status_page_late_after": {
                        "description": "The status page calls a stream late if its newest complete state is "
                        "older than this multiple of the time between two regular syncs.",
                        "version_added": None,
                        "type": "float",
                        "example": None,
                        "default": "1.5",
                    },
                    "status_page_busy_share": {
                        "description": "The status page lists a stream as close to the rate limit from this "
                        "share of the documented limit on, over the last day.",
                        "version_added": None,
                        "type": "float",
                        "example": None,
                        "default": "0.8",
                    },
                },
            }
        },
        "connection-types": [
            {
                "connection-type": connection_form.CONN_TYPE,
                "hook-class-name": "airflow_provider_alvys.hooks.alvys.AlvysHook",
                "hook-name": connection_form.HOOK_NAME,
                "conn-fields": connection_form.build_conn_fields(),
                "ui-field-behaviour": connection_form.build_ui_field_behaviour(dashed=True),
            }
        ],
    }
