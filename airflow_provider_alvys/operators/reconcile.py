"""The operator that compares files and tables with Alvys, and with each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from airflow_provider_alvys.api.catalogue.streams import get_stream
from airflow_provider_alvys.api.errors import AlvysDifferenceError, AlvysValueError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.windows import as_utc
from airflow_provider_alvys.base_operator import DEFERRABLE, run_identity_of
from airflow_provider_alvys.checks.spec import CheckSpec
from airflow_provider_alvys.hooks.alvys import AlvysHook
from airflow_provider_alvys.parse_checks import check_data_set, has_template, normalize_path
from airflow_provider_alvys.transfers.base import DEFER_AFTER, AlvysLandingTask

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.checks.results import Report

# Under this key Airflow stores what a task returns.
_RETURN_VALUE = "return_value"
# The status page asks Airflow for XComs with this key.
CHECK_KEY = "alvys_check"
_FAIL, _WARN = "fail", "warn"


class AlvysReconcileOperator(AlvysLandingTask):
    """
    Compare the stored rows of a stream with Alvys: whether all are there, and whether they are right.

    Compares the numbers of rows by month of creation, or of a business date; then, with ``sample``, the
    values of rows chosen at random. With ``sql_conn_id``, also checks in SQL what must hold in each row, such
    as a total that is the sum of its parts, and the totals of the table ``_alvys_control``, if it exists.
    With both ``sql_conn_id`` and ``path``, also compares the amounts in tables and files.

    Rows that changed in Alvys since the last complete sync are not differences: their verdict is ``moving``.
    Run it after the sync and the load. What differs is named by row where it can be found. ``docs/tables.md``
    describes the checks, and the tables ``_alvys_checks`` and ``_alvys_control``.

    Results go to the log and to the table ``_alvys_checks``; without a database to a file in
    ``<path>/<stream>/_checks/``. The XCom ``alvys_check`` has the figures that the status page shows.

    Cost: one request per month and two more; one per 50 rows of the sample (for streams without a search by
    number, one per row); and for at most six months that differ, those that find the days and the rows.

    :param alvys_conn_id: the Alvys connection. (templated)
    :param stream: a stream of the catalogue, such as ``loads``, but none that is read per parent; see
        ``docs/reference/streams.md``.
    :param sql_conn_id: Airflow connection of the database with the tables; None compares the files.
        (templated)
    :param path: root of the data set; None compares the tables only. (templated)
    :param start: start of the first window, with a time zone; None means all rows, also those without a date.
        (templated)
    :param end: end of the last window; None means the last complete sync. (templated)
    :param by: length of a window: ``day``, ``week``, ``month`` or ``year``.
    :param statuses: statuses to count in the months that differ; None counts all, and only if single rows
        cannot be found. (templated)
    :param sample: number of rows to read again and compare; 0 compares none.
    :param on_difference: ``fail`` or ``warn`` if something differs. Results are stored in both cases.
    :param schema: database schema of the tables; None means the connection's own. (templated)
    :param table: name of the main table; None means the stream's default. (templated)
    :param tenant: name of the tenant in manifests and tables; None means the connection id. (templated)
    :param defer_after: a deferrable task frees its slot for waits of more seconds than this.
    :param deferrable: whether to free the slot during long waits for the rate limit. Airflow's ``[operators]
        default_deferrable`` is the default.
    :return: ``{"stream", "tenant", "verdict", "as_of", "requests", "checks", "differences", "repairs"}``: the
        worst verdict (``same``, ``moving``, ``unknown`` or ``differs``), the time whose state the rows have,
        the number of requests and of checks, the differences (at most 100) as dicts, and a list of the
        arguments of the syncs that repair them, for ``AlvysToObjectStorageOperator.partial(…)``. Airflow
        maps over what a task returns, so a task between them returns the list:
        ``dags_examples/alvys_nightly_check.py``.
    :raises AlvysDifferenceError: something differs, and ``on_difference`` is ``fail``. A retry does not help.
    :raises AlvysValueError: an argument is not valid, raised while the DAG is parsed if it is not templated;
        a table does not exist or lacks columns; or there are no rows of the tenant, or only some, read with
        filters. Nothing has been asked then.
    """

    template_fields: Sequence[str] = tuple(
        "alvys_conn_id sql_conn_id path start end statuses schema table tenant".split()
    )
    none_fields = ("start", "end", "statuses")
    ui_color = "#d7ebf7"

    def __init__(
        self,
        *,
        alvys_conn_id: str = AlvysHook.default_conn_name,
        stream: str,
        sql_conn_id: str | None = None,
        path: str | ObjectStoragePath | PurePath | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        by: str = "month",
        statuses: Sequence[str] | None = None,
        sample: int = 0,
        on_difference: str = _FAIL,
        schema: str | None = None,
        table: str | None = None,
        tenant: str | None = None,
        defer_after: float = DEFER_AFTER,
        deferrable: bool = DEFERRABLE,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            alvys_conn_id=alvys_conn_id, defer_after=defer_after, deferrable=deferrable, **kwargs
        )
        self.stream = stream
        self.sql_conn_id = sql_conn_id
        self.path = None if path is None else normalize_path(path)
        self.start = start
        self.end = end
        self.by = by
        self.statuses = statuses
        self.sample = sample
        self.on_difference = on_difference
        self.schema = schema
        self.table = table
        self.tenant = tenant
        if sql_conn_id is None and path is None:
            raise AlvysValueError("Give sql_conn_id to compare tables, path to compare files, or both")
        if on_difference not in (_FAIL, _WARN):
            raise AlvysValueError(f"on_difference={on_difference!r} must be {_FAIL!r} or {_WARN!r}")
        if path is not None:
            check_data_set(self.path)
        self._make_spec(is_parsed=True).check()
        self.remember_given()

    def land(self, context: Context, client: AlvysClient, *, is_resumed: bool) -> dict[str, Any]:
        """Compare, store the results, and return their summary."""
        from airflow_provider_alvys.checks.checks_table import write_checks, write_file
        from airflow_provider_alvys.checks.reconcile import Reconciliation
        from airflow_provider_alvys.checks.results import log_report
        from airflow_provider_alvys.landing.dataset.store import Store
        from airflow_provider_alvys.tables.database import open_database

        spec = self._make_spec()
        spec.check()
        self._kept = self._kept or {}
        store = None if self.path is None else Store(self.path)
        with ExitStack() as stack:
            database = None
            if self.sql_conn_id is not None:
                from airflow_provider_alvys.hooks.databases import get_database_hook

                hook, dialect = get_database_hook(self.sql_conn_id)
                for parameter, name in (("schema", self.schema), ("table", self.table)):
                    if name is not None:
                        dialect.check_name(name, parameter)
                opened = open_database(hook.get_conn(), dialect, self.schema)
                database = stack.enter_context(closing(opened))
            identity = run_identity_of(context, self)
            report = Reconciliation(client, spec, identity, database, store, self._kept).run()
            if database is not None:
                write_checks(database, report)
            elif store is not None:
                self.log.info("Results: %s", write_file(store, report))
        log_report(report)
        return self._finish(context, report)

    def _finish(self, context: Context, report: Report) -> dict[str, Any]:
        result = report.summary()
        ti = context.get("ti")
        if ti:
            ti.xcom_push(key=CHECK_KEY, value=report.figures())
        if report.verdict != "differs":
            return result
        count = counted(len(report.differences), "differences")
        checks = counted(len(report.checks), "checks")
        message = (
            f"{report.stream} of {report.tenant}: {count} in {checks}. The log and the results name them. "
            "Run the syncs in the output repairs, and load"
        )
        if self.on_difference == _WARN:
            self.log.warning("%s", message)
            return result
        # A failed task returns nothing, and what follows may need the result.
        if ti:
            ti.xcom_push(key=_RETURN_VALUE, value=result)
        raise AlvysDifferenceError(message)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what was compared, for Airflow's OpenLineage provider."""
        from airflow.sdk import BaseHook

        from airflow_provider_alvys.checks.checks_table import CHECKS
        from airflow_provider_alvys.lineage import (
            api_place,
            checked_lineage,
            folder_place,
            no_lineage,
            table_place,
        )
        from airflow_provider_alvys.tables.dialects import get_dialect
        from airflow_provider_alvys.tables.schema import default_table_name

        if self._landed is None:
            return no_lineage()
        stream = get_stream(self.stream)
        reads, writes = [api_place(self.hook.settings.host, stream.path)], None
        if self.path is not None:
            reads.append(folder_place(str(self.path), stream.name))
        if self.sql_conn_id is not None:
            connection = BaseHook.get_connection(self.sql_conn_id)
            dialect, table = get_dialect(connection.conn_type), self.table or default_table_name(stream)
            reads.append(table_place(connection, dialect, self.schema, table))
            writes = table_place(connection, dialect, self.schema, CHECKS)
        return checked_lineage(reads, writes)

    def _make_spec(self, *, is_parsed: bool = False) -> CheckSpec:
        """
        Return what to compare.

        :param is_parsed: leave out what is a template.
        """

        def given(name: str) -> Any:
            value = getattr(self, name)
            return None if is_parsed and has_template(value) else value

        times = {name: as_utc(time, name) for name in ("start", "end") if (time := given(name)) is not None}
        return CheckSpec(
            get_stream(self.stream),
            self.tenant or self.alvys_conn_id,
            by=self.by,
            statuses=given("statuses"),
            sample=self.sample,
            table=given("table"),
            **times,
        )
