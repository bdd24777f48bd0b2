"""One reconciliation: all checks of a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_provider_alvys.api.errors import AlvysValueError
from airflow_provider_alvys.api.figures import counted
from airflow_provider_alvys.api.read.windows import ALL_TIME, Window
from airflow_provider_alvys.api.schema.values import EXTRA
from airflow_provider_alvys.api.suggestions import suggest
from airflow_provider_alvys.checks.alvys_side import AlvysSide, Columns
from airflow_provider_alvys.checks.comparison import Comparison
from airflow_provider_alvys.checks.content import ContentCheck
from airflow_provider_alvys.checks.control import check_control
from airflow_provider_alvys.checks.file_side import FileSide
from airflow_provider_alvys.checks.identities import IdentityCheck
from airflow_provider_alvys.checks.money import MONEY, MoneyCheck
from airflow_provider_alvys.checks.presence import PresenceCheck
from airflow_provider_alvys.checks.repairs import Repairs
from airflow_provider_alvys.checks.results import Check, Report, make_check
from airflow_provider_alvys.checks.spec import CheckSpec
from airflow_provider_alvys.checks.stored_side import StoredSide, TableSide
from airflow_provider_alvys.landing.dataset.pace_file import load_pace, save_pace
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.tables.database import Database
from airflow_provider_alvys.tables.ledger import LEDGER, Ledger
from airflow_provider_alvys.tables.schema import (
    MISSED_AT,
    MISSING_SINCE,
    TENANT,
    StreamSchema,
    build_schema,
    fields_of,
)

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient
    from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity


@dataclass
class Reconciliation:
    """
    Compares the rows of a stream with Alvys, and with each other.

    :param database: with the tables; None to compare the files of the data set.
    :param store: the data set; None to compare the tables only.
    :param answers: of an earlier part of the same attempt, before a deferral.
    """

    client: AlvysClient
    spec: CheckSpec
    identity: RunIdentity
    database: Database | None
    store: Store | None
    answers: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Report:
        """
        Return the results.

        :raises DeferRequested: the client's clock refuses a long wait. ``answers`` has what is known.
        """
        spec = self.spec
        checked_at = datetime.fromtimestamp(self.client.clock.time(), timezone.utc)
        schema, stored = self._open()
        repairs = Repairs(spec.stream)
        alvys = AlvysSide(self.client, schema, self.answers)
        if self.database is not None:
            limits, before = self.database.dialect.limits, self.database.end_reads
            alvys = AlvysSide(self.client, schema, self.answers, limits, before)
        if self.store is not None:
            load_pace(self.store, self.client)
        try:
            checks = list(self._checks(Comparison(alvys, stored, schema, repairs)))
        finally:
            if self.store is not None:
                save_pace(self.store, self.client)
        return Report(
            stream=spec.stream.name,
            tenant=spec.tenant,
            run=self.identity.of_tenant(spec.tenant).run_hash,
            dag_id=self.identity.dag_id,
            task_id=self.identity.task_id,
            run_id=self.identity.run_id,
            as_of=stored.as_of,
            checked_at=checked_at,
            requests=alvys.requests,
            checks=checks,
            repairs=repairs.plan(),
        )

    def _open(self) -> tuple[StreamSchema, StoredSide]:
        spec = self.spec
        schema = build_schema(spec.stream, table=spec.table)
        if self.database is None:
            assert self.store is not None  # noqa: S101
            files = FileSide(self.store, schema, spec.tenant)
            self._check_tenant(files.tenants, f"{self.store.path}/{spec.stream.name}")
            self._check_filters(files.is_filtered)
            return schema, files
        if not self.database.columns(schema.main.name):
            raise AlvysValueError(
                f"{self.database.table(schema.main.name)} does not exist: load {spec.stream.name} first"
            )
        with self.database.transaction(LEDGER):
            Ledger(self.database, schema.main.name).create()
        self._check_tenant(self._tenants(schema), self.database.table(schema.main.name))
        # Fields that are left out of the tables are not compared.
        known = {EXTRA, *(path for path, *_ in fields_of(spec.stream.fields))}
        excluded = known & {path for entry in self._entries(schema) for path in entry.excluded}
        schema = build_schema(spec.stream, table=spec.table, exclude=excluded)
        self._check_columns(schema)
        tables = TableSide(self.database, schema, spec.tenant)
        self._check_filters(tables.is_filtered)
        return schema, tables

    def _check_columns(self, schema: StreamSchema) -> None:
        """Refuse a table of an earlier version that lacks columns by which rows are counted."""
        assert self.database is not None  # noqa: S101
        table, at = schema.main, Columns.of(schema)
        places = [place for place in (at.key, at.time, at.status, at.version) if place is not None]
        wanted = [MISSED_AT, MISSING_SINCE, *(table.columns[place].name for place in places)]
        if lacking := [name for name in wanted if name not in self.database.columns(table.name)]:
            raise AlvysValueError(
                f"{self.database.table(table.name)} has no column {', '.join(lacking)}: load "
                f"{self.spec.stream.name} once with this version, which adds it"
            )

    def _check_filters(self, is_filtered: bool) -> None:
        if is_filtered:
            name = self.spec.stream.name
            raise AlvysValueError(
                f"All runs of {name} of {self.spec.tenant} had filters, so Alvys's totals of all rows "
                f"say nothing: compare a sync of all {name}"
            )

    def _tenants(self, schema: StreamSchema) -> set[str]:
        """Return the tenants of the ledger, and those of the table if the one that is sought is not there."""
        assert self.database is not None  # noqa: S101
        loaded = {entry.tenant for entry in Ledger(self.database, schema.main.name).entries()}
        if self.spec.tenant in loaded:
            return loaded
        table, tenant = self.database.table(schema.main.name), self.database.dialect.quote(TENANT)
        rows = self.database.execute(f"SELECT DISTINCT {tenant} FROM {table}")
        return loaded | {str(name) for (name,) in rows}

    def _check_tenant(self, known: Collection[str], where: str) -> None:
        """Refuse to compare nothing with all rows of Alvys."""
        tenant = self.spec.tenant
        if tenant not in known:
            what = f"There are no {self.spec.stream.name} of the tenant {tenant!r} in {where}"
            hint = suggest(tenant, sorted(known), "Tenants") if known else " Sync and load them first"
            raise AlvysValueError(f"{what}.{hint}")

    def _entries(self, schema: StreamSchema) -> list[Any]:
        assert self.database is not None  # noqa: S101
        ledger = Ledger(self.database, schema.main.name)
        return [one for one in ledger.entries() if one.tenant == self.spec.tenant]

    def _checks(self, comparison: Comparison) -> Iterator[Check]:
        spec, database, stored, schema = self.spec, self.database, comparison.stored, comparison.schema
        presence = PresenceCheck(
            comparison, start=spec.start, end=spec.end, every=spec.by, statuses=spec.statuses
        )
        yield from presence.run()
        if spec.sample:
            window = None
            if spec.start or spec.end:
                window = Window(spec.start or ALL_TIME.since, spec.end)
            yield from ContentCheck(
                comparison, window=window, sample=spec.sample, seed=self.identity.run_id
            ).run()
        if database is None:
            return
        assert isinstance(stored, TableSide)  # noqa: S101
        if self.store is not None:
            loaded = {entry.manifest for entry in self._entries(schema)}
            files = FileSide(self.store, schema, spec.tenant, lambda path: path in loaded)
            if absent := loaded - files.paths:
                scope = f"not in {self.store.path}: {counted(len(absent), 'loaded manifests')}"
                yield make_check(MONEY, scope, None, None, "unknown")
            else:
                money = MoneyCheck(files, stored, database, schema, comparison.repairs, presence.edges)
                yield from money.run()
        yield from check_control(database, stored, schema)
        yield from IdentityCheck(database, stored, comparison).run()
