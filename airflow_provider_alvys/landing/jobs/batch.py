"""Several syncs of one task instance. A retry does not repeat those that have landed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airflow_provider_alvys.landing.dataset.layout import batch_file
from airflow_provider_alvys.landing.dataset.store import Store
from airflow_provider_alvys.landing.jobs.checkpoint import RunIdentity
from airflow_provider_alvys.landing.jobs.spec import SyncSpec
from airflow_provider_alvys.landing.jobs.sync import land

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient


class _BatchState(msgspec.Struct, kw_only=True):
    """The content of a batch's file. ``begun`` and ``landed`` are by config hash."""

    version: Literal[1] = 1
    identity: RunIdentity
    begun: list[str] = []
    landed: dict[str, dict[str, Any]] = {}
    total: int | None = None
    has_ended: bool = False


class SyncBatch:
    """The syncs of one task instance and tenant, resumed from its file."""

    def __init__(
        self,
        client: AlvysClient,
        store: Store,
        identity: RunIdentity,
        *,
        tenant: str,
        is_resumed: bool = False,
    ) -> None:
        self._client = client
        self._store = store
        self.identity = identity.of_tenant(tenant)
        self._is_resumed = is_resumed
        self._name = batch_file(self.identity.run_hash)
        known = store.get_json(self._name, _BatchState) or self._earlier_state()
        # A cleared task starts over.
        self._state = known if known and not known.has_ended else _BatchState(identity=self.identity)

    def _earlier_state(self) -> _BatchState | None:
        """Return the state that version 0.2.0 or earlier wrote, if its results are of this tenant."""
        name = batch_file(self.identity.of_tenant(None).run_hash)
        known = self._store.get_json(name, _BatchState)
        tenants = {result.get("tenant") for result in known.landed.values()} if known else set()
        return known if tenants == {self.identity.tenant} else None

    def land(self, spec: SyncSpec) -> dict[str, Any]:
        """Run a sync, or return its result of an earlier attempt. Raises as :func:`land`."""
        config_hash = spec.fingerprint(self._store.path)
        if config_hash not in self._state.begun:
            self._state.begun.append(config_hash)
            self._save()
        if config_hash not in self._state.landed:
            own = msgspec.structs.replace(self.identity, task_id=f"{self.identity.task_id}#{config_hash}")
            self._state.landed[config_hash] = land(
                self._client, self._store, spec, own, config_hash=config_hash, is_resumed=self._is_resumed
            )
            self._save()
        return self._state.landed[config_hash]

    def has_begun(self, spec: SyncSpec) -> bool:
        """Return whether the sync of a spec has begun."""
        return spec.fingerprint(self._store.path) in self._state.begun

    def total(self, count: Callable[[], int]) -> int:
        """Return the number of rows, counted once per batch."""
        if self._state.total is None:
            self._state.total = count()
            self._save()
        return self._state.total

    def void(self) -> None:
        """Forget all results, so that everything is read again."""
        self._state = _BatchState(identity=self.identity)
        self._save()

    def end(self) -> None:
        """Save that all syncs have landed."""
        self._state.has_ended = True
        self._save()

    def _save(self) -> None:
        self._store.put_json(self._name, self._state)
