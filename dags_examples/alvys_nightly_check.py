"""
Compare the tables with Alvys every night, repair what differs, and compare again.

``compare`` finds and stores the differences, and does not fail. ``repair`` reads again what differs, in a
mapped task for each window or list of rows; if nothing differs, it is skipped. ``load`` loads what has
landed, and ``compare_again`` fails if something still differs. ``say`` writes the result into its log: send
it by e-mail or chat from there.

The Airflow connection ``warehouse`` is the database that ``alvys_to_postgres.py`` fills. Results are in its
table ``_alvys_checks``.
"""

from __future__ import annotations

import logging
import os
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import DAG, task, teardown

from airflow_provider_alvys import (
    AlvysObjectStorageToSqlOperator,
    AlvysReconcileOperator,
    AlvysToObjectStorageOperator,
)

# The data set of the syncs. Do not change it later.
LAKE = os.environ.get("ALVYS_LAKE", "/tmp/alvys_lake")
STREAM = "loads"
WAREHOUSE = "warehouse"
CHECK: dict[str, Any] = {"stream": STREAM, "sql_conn_id": WAREHOUSE, "path": LAKE, "sample": 200}
# Also if the tasks before it were skipped, because nothing differs.
IN_ANY_CASE: dict[str, Any] = {"trigger_rule": "none_failed"}

with DAG(
    "alvys_nightly_check",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["alvys"],
    doc_md=__doc__,
):
    compare = AlvysReconcileOperator(task_id="compare", on_difference="warn", **CHECK)

    @task
    def repairs(result: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the arguments of the syncs: Airflow maps over what a task returns."""
        return list(result["repairs"])

    repair = AlvysToObjectStorageOperator.partial(task_id="repair", path=LAKE).expand_kwargs(
        repairs(compare.output)
    )
    load = AlvysObjectStorageToSqlOperator(
        task_id="load", sql_conn_id=WAREHOUSE, path=LAKE, stream=STREAM, **IN_ANY_CASE
    )
    compare_again = AlvysReconcileOperator(task_id="compare_again", **CHECK)

    # A teardown also runs after a failure, and does not hide it.
    @teardown
    @task
    def say(before: dict[str, Any], after: dict[str, Any]) -> str:
        """Return the result in one sentence."""
        found, left = len(before["differences"]), len(after["differences"])
        state = f"{after['verdict']} as of {after['as_of']}"
        sentence = f"{STREAM}: {found} differences found, {left} left; {state}"
        logging.getLogger(__name__).info("%s", sentence)
        return sentence

    repair >> load >> compare_again >> say(compare.output, compare_again.output)
