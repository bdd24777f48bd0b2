"""
Many questions, few requests: what is asked for at about the same time goes into one request.

Requests are made one attempt at a time in a thread, and all waiting is done in the coroutine: for others to ask the same, for the
documented pace, for what Alvys asks to wait after a failure. So an event loop with hundreds of waiters never stands still.
"""

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

if TYPE_CHECKING:
    from airflow_provider_alvys.api.http.client import AlvysClient

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)

# Seconds in which questions batch_delay. Sensors that are started together come within a few of them.
BATCH_DELAY = 0.5
# Each line uses one at a time, and there are hardly more lines than this with much to ask.
_THREADS = 4


def non_blocking_options(clock: Clock = SYSTEM_CLOCK) -> dict[str, Any]:
    """Return the options of a client for a poller: it makes one attempt, and goes away instead of waiting for its turn."""
    return {"retry_rules": ONE_ATTEMPT, "clock": BoundedClock(clock, defer_after=0.0)}


class Job(Protocol[Result_co]):
    """One question about some items, which may take several requests."""

    def step(self, client: AlvysClient) -> Sequence[Result_co] | None:
        """
        Make the next request; called in a thread, again and again.

        After an error it is called again where another try may help, and goes on from where it was: a :class:`DeferRequested` is what
        the client's clock says instead of waiting, so that it may come from any request.

        :return: at the end the answers, in the order of the items; None when there is more to do.
        :raises TooManyRowsError: fewer items must be asked for at once.
        """
        ...


class BatchQuery(Protocol[Item_contra, Result_co]):
    """
    One kind of question. Lines that are equal are one: the questions that are asked on it go together.

    ``endpoint`` is the call that answers it, ``max_items`` how many items one request takes.
    """

    @property
    def endpoint(self) -> Endpoint:
        """The call that answers it."""
        ...

    @property
    def max_items(self) -> int:
        """How many items one request takes."""
        ...

    def __hash__(self) -> int:
        """Return the same for equal lines."""
        ...

    def make_job(self, items: Sequence[Item_contra]) -> Job[Result_co]:
        """Return what asks for these items. Called on the event loop: it should do no more than take note of them."""
        ...


class TooManyRowsError(AlvysError):
    """An answer had no room for what was asked for."""


# The futures of all who wait for an item, by item. Who has left has cancelled theirs.
_Waiters: TypeAlias = dict[Any, list[asyncio.Future[Any]]]


@dataclass
class _Queue:
    """What is asked for on one line and not under way."""

    waiting: _Waiters = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    def fill(self, batch: _Waiters, max_items: int) -> bool:
        """Put more into a batch, and drop what nobody waits for any more. Return whether that changed anything."""
        left = [item for item, answers in batch.items() if _is_abandoned(answers)]
        for item in left:
            del batch[item]
        has_changed = bool(left)
        for item, answers in list(self.waiting.items()):
            if _is_abandoned(answers):
                del self.waiting[item]
            elif len(batch) < max_items:
                # Somebody else may have asked for the same before.
                batch.setdefault(item, []).extend(self.waiting.pop(item))
                has_changed = True
        return has_changed


class Poller:
    """
    Result questions about one connection, together where they can be.

    Belongs to the event loop in which it is used. Nothing runs while nobody waits.

    :param connect: returns a client made with :func:`non_blocking_options`. Called at the first question, and again before the next
        attempt when the credentials were refused or there was no answer, since the connection may have been changed.
    :param rules: how often and how long a failed request is tried again.
    :param batch_delay: seconds in which questions batch_delay before the first request.
    :param sleep: waits in the coroutine.
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
        # When Alvys wants to be asked again, by endpoint, in seconds since 1970, where the rules would not wait so long.
        self._not_before: dict[Endpoint, float] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="alvys-poller")

    async def poll(self, query: BatchQuery[Item, Result], item: Item) -> Result:
        """
        Return the answer for one item. Who stops waiting for it stops nobody else.

        :raises AlvysError: a subclass says what went wrong, when the rules allow no further try.
        """
        queue = self._queues.setdefault(query, _Queue())
        # Hundreds wait at the same time: what each of them allocates here brings Python's garbage collection nearer.
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        queue.waiting.setdefault(item, []).append(answer)
        if queue.task is None:
            # In a context of its own: whose question was first has nothing to do with the others', nor with what is logged.
            queue.task = contextvars.Context().run(asyncio.create_task, self._run_queue(query, queue))
        return await answer

    async def close(self) -> None:
        """End what runs. Who still waits is cancelled."""
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that was cancelled before it began has cancelled nothing itself.
        for queue in self._queues.values():
            _cancel(queue.waiting)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def _run_queue(self, query: BatchQuery[Any, Any], queue: _Queue) -> None:
        """Result what is asked for on a query, until nobody asks any more."""
        batch: _Waiters = {}
        try:
            await self._sleep(self._batch_delay)
            while queue.fill(batch, query.max_items):
                await self._resolve(query, queue, batch)
                batch = {}
        finally:
            # Nothing is left here but where this task was cancelled.
            _cancel(batch)
            _cancel(queue.waiting)
            del self._queues[query]

    async def _resolve(
        self, query: BatchQuery[Any, Any], queue: _Queue, batch: _Waiters, *, is_part: bool = False
    ) -> None:
        """Result a batch; one that is refused, or too big, in halves, until who is to blame stands alone."""
        try:
            answers = await self._fetch(
                query, queue, batch, max_items=len(batch) if is_part else query.max_items
            )
            for waiters, answer in zip(batch.values(), answers, strict=True):
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(answer)
        except asyncio.CancelledError:
            _cancel(batch)
            raise
        except BaseException as error:
            half = len(batch) // 2
            if half and isinstance(error, (AlvysValidationError, TooManyRowsError)):
                log.info("%s Asking for %d and %d items instead.", error, half, len(batch) - half)
                items = list(batch.items())
                for part in (items[:half], items[half:]):
                    await self._resolve(query, queue, dict(part), is_part=True)
                return
            if isinstance(error, AlvysError) and error.retry_after:
                self._not_before[query.endpoint] = self._clock.time() + error.retry_after
            for waiters in batch.values():
                for waiter in waiters:
                    if not waiter.done():
                        # It is raised where it was asked.
                        waiter.set_exception(error)
            if not isinstance(error, Exception):
                raise

    async def _fetch(
        self, query: BatchQuery[Any, Any], queue: _Queue, batch: _Waiters, *, max_items: int
    ) -> Sequence[Any]:
        """Return the answers for a batch, which grows while it waits, and shrinks where nobody waits for an item any more."""
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
                except DeferRequested as turn:
                    await wait(turn.seconds)
                except AlvysConnectionError:
                    self._discard_client(client)
                    raise
                except AlvysAuthError:
                    self._discard_client(client)
                    if client is connected:
                        raise
                    log.info("Alvys refused the credentials: looking up the connection again")
            return ()

        if (seconds := self._not_before.get(query.endpoint, 0.0) - self._clock.time()) > 0:
            await wait(seconds)
        while True:
            answers: Sequence[Any] | None = await async_retrying(
                self._rules,
                sleep=wait,
                consecutive_429s=self._client.pacer.consecutive_429s(query.endpoint) if self._client else 0,
                block_seconds=lambda: (
                    self._client.pacer.block_seconds(query.endpoint) if self._client else 60.0
                ),
            )(attempt)
            if answers is not None:
                return answers

    async def _get_client(self, endpoint: Endpoint) -> AlvysClient:
        async with self._connecting:
            if self._client is None:
                try:
                    self._client = await self._connect()
                except Exception as error:
                    if not self._has_connected or isinstance(error, AlvysError):
                        raise
                    # It was there before. What keeps it may be away for a moment, and says no more than that it has found none.
                    what = f"The connection could not be looked up: {error}"
                    raise AlvysConnectionError(what, arrived=False, endpoint=str(endpoint)) from error
                self._has_connected = True
            return self._client

    def _discard_client(self, client: AlvysClient) -> None:
        """Have the connection looked up before the next attempt."""
        if self._client is client:
            self._client = None
            client.close()


def _is_abandoned(answers: list[asyncio.Future[Any]]) -> bool:
    return all(answer.done() for answer in answers)


def _cancel(waiters: _Waiters) -> None:
    for answers in waiters.values():
        for answer in answers:
            answer.cancel()
