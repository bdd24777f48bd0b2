"""What waits in the triggerer, without a worker's slot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.triggers.base import TriggerEvent


class AlvysWaitTrigger(DateTimeTrigger):
    """
    Wait until a request may be sent again, and give the task back what it needs to go on.

    ``airflow dags test`` gives a task nothing but the event: hence the state comes with it.

    :param moment: when that is; an aware datetime.
    :param state: plain JSON values; the event's payload.
    """

    def __init__(self, moment: datetime, state: dict[str, Any]) -> None:
        super().__init__(moment=moment)
        self.state = state

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"moment": self.moment, "state": self.state}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the state when it is time."""
        async for _ in super().run():
            yield TriggerEvent(self.state)  # type: ignore[no-untyped-call]
