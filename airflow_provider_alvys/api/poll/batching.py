"""Batched polling: one request for many items. Requests run in threads, all waiting in coroutines."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from airflow_provider_alvys.api.catalogue.endpoints import Endpoint
from airflow_provider_alvys.api.errors import (
    AlvysAuthError,
    AlvysConnectionError,
    AlvysError,
    AlvysValidationError,
)
from airflow_provider_alvys.api.http.clock import SYSTEM_CLOCK, BoundedClock, Clock, DeferRequested
from airflow_provider_alvys.api.http.retries import ONE_ATTEMPT, RetryRules, async_retrying
from airflow_provider_alvys.api.scrubbing import scrub

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)

# Seconds from the first item to the first request, in which a batch collects more items.
BATCH_DELAY = 0.5
# A query uses one thread at a time, and few queries are busy at once.
_THREADS = 4


def non_blocking_options(clock: Clock = SYSTEM_CLOCK) -> dict[str, Any]:
    """Return the options of a client for a poller: one attempt, and DeferRequested in place of any wait."""
    return {"retry_rules": ONE_ATTEMPT, "clock": BoundedClock(clock, defer_after=0.0)}


class Job(Protocol[Result_co]):
    """The requests for one batch of items."""

    def step(self, client: AlvysClient) -> Sequence[Result_co] | None:
        """
        Make the next request. Called repeatedly, in a thread.

        After :class:`DeferRequested` or a retryable error, the next call repeats the failed request.

        :return: the results in the order of the items, or None if more requests are needed.
        :raises TooManyRowsError: the batch has to be split.
        """


class BatchQuery(Protocol[Item_contra, Result_co]):
    """A kind of request that takes many items. Items of equal queries share batches."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that it calls."""

    @property
    def max_items(self) -> int:
        """How many items one request takes."""

    def make_job(self, items: Sequence[Item_contra]) -> Job[Result_co]:
        """Return a job for these items. Called on the event loop: it must not block."""


class TooManyRowsError(AlvysError):
    """The rows of a batch do not fit into one response."""


# The waiting coroutines' futures, by item. A coroutine that is cancelled cancels its future.
_Waiters: TypeAlias = dict[Any, list[asyncio.Future[Any]]]


@dataclass
class _Queue:
    """The items of one query that are not in a batch yet."""

    waiting: _Waiters = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    def fill(self, batch: _Waiters, max_items: int) -> bool:
        """Move items into a batch, drop abandoned ones from it, and return whether the batch has changed."""
        abandoned = [item for item, futures in batch.items() if _is_abandoned(futures)]
        for item in abandoned:
            del batch[item]
        has_changed = bool(abandoned)
        for item, futures in list(self.waiting.items()):
            if _is_abandoned(futures):
                del self.waiting[item]
            elif len(batch) < max_items:
                batch.setdefault(item, []).extend(self.waiting.pop(item))
                has_changed = True
        return has_changed


class Poller:
    """
    Poll one connection, with as few requests as possible.

    A poller belongs to the event loop in which it is used. It runs tasks only while a result is waited for.

    :param connect: returns a client made with :func:`non_blocking_options`. Called for the first request, and
        again after refused credentials or a failed connection, in case the Airflow connection was changed.
    :param rules: limits of the retries.
    :param batch_delay: seconds in which a batch collects items before its first request.
    :param sleep: coroutine function used for all waiting.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[AlvysClient]],
        *,
        rules: RetryRules | None = None,
        batch_delay: float = BATCH_DELAY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._connect = connect
        self._rules = rules or RetryRules()
        self._batch_delay = batch_delay
        self._sleep = sleep
        self._clock = clock
        self._client: AlvysClient | None = None
        self._connecting = asyncio.Lock()
        self._has_connected = False
        self._queues: dict[Any, _Queue] = {}
        # Alvys's Retry-After by endpoint, as seconds since 1970, if it exceeds what the rules allow.
        self._not_before: dict[Endpoint, float] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="alvys-poller")

    async def poll(self, query: BatchQuery[Item, Result], item: Item) -> Result:
        """Return the result for one item, or raise its error. A cancelled caller does not affect others."""
        queue = self._queues.setdefault(query, _Queue())
        # Hundreds of sensors wait here at once: more objects per caller would mean more garbage collections.
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        queue.waiting.setdefault(item, []).append(future)
        if queue.task is None:
            # In an empty context: the task serves all callers, so it must not log as the first one's task.
            queue.task = contextvars.Context().run(asyncio.create_task, self._run_queue(query, queue))
        return await future

    async def close(self) -> None:
        """Stop all requests and cancel all waiting coroutines."""
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that is cancelled before it starts does not run its finally block.
        for queue in self._queues.values():
            _cancel(queue.waiting)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _run_queue(self, query: BatchQuery[Any, Any], queue: _Queue) -> None:
        """Resolve the batches of one query until its queue is empty."""
        batch: _Waiters = {}
        try:
            await self._sleep(self._batch_delay)
            while queue.fill(batch, query.max_items):
                await self._resolve(query, queue, batch)
                batch = {}
        finally:
            # Both are empty unless this task was cancelled.
            _cancel(batch)
            _cancel(queue.waiting)
            del self._queues[query]

    async def _resolve(
        self, query: BatchQuery[Any, Any], queue: _Queue, batch: _Waiters, *, is_part: bool = False
    ) -> None:
        """Resolve a batch. If it is refused or too big, split it in half until the faulty item is alone."""
        try:
            max_items = len(batch) if is_part else query.max_items
            results = await self._fetch(query, queue, batch, max_items=max_items)
            for waiters, result in zip(batch.values(), results, strict=True):
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(result)
        except asyncio.CancelledError:
            _cancel(batch)
            raise
        except BaseException as error:
            half = len(batch) // 2
            if half and isinstance(error, (AlvysValidationError, TooManyRowsError)):
                log.info("Splitting a batch into %d and %d items: %s", half, len(batch) - half, error)
                items = list(batch.items())
                for part in (items[:half], items[half:]):
                    await self._resolve(query, queue, dict(part), is_part=True)
                return
            if isinstance(error, AlvysError) and error.retry_after:
                self._not_before[query.endpoint] = self._clock.time() + error.retry_after
            for waiters in batch.values():
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_exception(error)
            if not isinstance(error, Exception):
                raise

    async def _fetch(
        self, query: BatchQuery[Any, Any], queue: _Queue, batch: _Waiters, *, max_items: int
    ) -> Sequence[Any]:
        """Return the results of a batch. While it waits, it takes new items and drops abandoned ones."""
        job = query.make_job(list(batch))
        connected: AlvysClient | None = None

        async def wait(seconds: float) -> None:
            nonlocal job
            await self._sleep(seconds)
            if queue.fill(batch, max_items):
                job = query.make_job(list(batch))

        async def attempt() -> Sequence[Any] | None:
            nonlocal connected
            while batch:
                client = self._client
                if client is None:
                    client = connected = await self._get_client(query.endpoint)
                try:
                    return await asyncio.get_running_loop().run_in_executor(self._pool, job.step, client)
                except DeferRequested as request:
                    await wait(request.seconds)
                except AlvysConnectionError:
                    self._discard_client(client)
                    raise
                except AlvysAuthError:
                    self._discard_client(client)
                    if client is connected:
                        raise
                    log.info("Alvys refused the credentials; reading the connection again")
            return ()

        if (seconds := self._not_before.get(query.endpoint, 0.0) - self._clock.time()) > 0:
            await wait(seconds)
        while True:
            results: Sequence[Any] | None = await async_retrying(
                self._rules,
                sleep=wait,
                consecutive_429s=self._client.pacer.consecutive_429s(query.endpoint) if self._client else 0,
                block_seconds=lambda: (
                    self._client.pacer.block_seconds(query.endpoint) if self._client else 60.0
                ),
            )(attempt)
            if results is not None:
                return results

    async def _get_client(self, endpoint: Endpoint) -> AlvysClient:
        async with self._connecting:
            if self._client is None:
                try:
                    self._client = await self._connect()
                except Exception as error:
                    if not self._has_connected or isinstance(error, AlvysError):
                        raise
                    # It could be read before: the secrets backend may be down, which looks the same.
                    what = f"The Airflow connection could not be read: {scrub(str(error))}"
                    raise AlvysConnectionError(what, arrived=False, endpoint=str(endpoint)) from error
                self._has_connected = True
            return self._client

    def _discard_client(self, client: AlvysClient) -> None:
        """Close the client; the next attempt reads the connection again."""
        if self._client is client:
            self._client = None
            client.close()


def _is_abandoned(futures: list[asyncio.Future[Any]]) -> bool:
    return all(future.done() for future in futures)


def _cancel(waiters: _Waiters) -> None:
    for futures in waiters.values():
        for future in futures:
            future.cancel()
