"""Several landings of one task instance: what one try has landed, the next one does not read again."""

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


class _State(msgspec.Struct, kw_only=True):
    """
    What a round's file holds.

    :param begun: hashes of the orders whose landing has begun.
    :param landed: what each landing returned, by the hash of its order.
    :param total: see :meth:`SyncBatch.total`.
    :param has_ended: whether the task has nothing left to do; when it is cleared, it begins anew.
    """

    version: Literal[1] = 1
    identity: RunIdentity
    begun: list[str] = []
    landed: dict[str, dict[str, Any]] = {}
    total: int | None = None
    has_ended: bool = False


class SyncBatch:
    """
    The landings of one task instance, begun or gone on with.

    :param is_resumed: whether this is the same try after a :class:`DeferRequested`.
    """

    def __init__(
        self, client: AlvysClient, store: Store, identity: RunIdentity, *, is_resumed: bool = False
    ) -> None:
        self._client = client
        self._store = store
        self._identity = identity
        self._is_resumed = is_resumed
        self._name = batch_file(identity.run_hash)
        known = store.get_json(self._name, _State)
        self._state = known if known and not known.has_ended else _State(identity=identity)

    def land(self, order: SyncSpec) -> dict[str, Any]:
        """
        Return what landing an order returns: that of an earlier try, where it has been landed.

        :raises DeferRequested: as :func:`land`.
        :raises AlvysError: as :func:`land`.
        """
        asked = order.fingerprint(self._store.path)
        if asked not in self._state.begun:
            self._state.begun.append(asked)
            self._save()
        if asked not in self._state.landed:
            own = msgspec.structs.replace(self._identity, task_id=f"{self._identity.task_id}#{asked}")
            self._state.landed[asked] = land(
                self._client, self._store, order, own, asked=asked, is_resumed=self._is_resumed
            )
            self._save()
        return self._state.landed[asked]

    def has_begun(self, order: SyncSpec) -> bool:
        """Return whether an order has been landed, or is half landed."""
        return order.fingerprint(self._store.path) in self._state.begun

    def total(self, count: Callable[[], int]) -> int:
        """Return how many rows there were when this round counted them."""
        if self._state.total is None:
            self._state.total = count()
            self._save()
        return self._state.total

    def void(self) -> None:
        """Forget all that has been landed: it was not enough."""
        self._state = _State(identity=self._identity)
        self._save()

    def end(self) -> None:
        """Take note that all has been landed."""
        self._state.has_ended = True
        self._save()

    def _save(self) -> None:
        self._store.put_json(self._name, self._state)
