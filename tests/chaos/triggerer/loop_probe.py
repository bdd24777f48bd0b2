"""
What a triggerer's event loop does when it stands still, seen from within.

Airflow's own watchdog tells that the loop was blocked, not by whom. This trigger lives in the same loop: it wakes up again and
again, and a thread beside it looks at what the loop's thread does while it does not.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from tests.chaos.triggerer.loop_blocks import LOOK_AFTER, LOOK_EVERY, summarize


class LoopProbe(BaseEventTrigger):
    """
    Write each stall of the event loop into a file, and never fire.

    :param file: gets a line of JSON for each.
    :param threshold: seconds from which it is one.
    """

    def __init__(self, file: str, threshold: float = 0.2) -> None:
        super().__init__()
        self.file = file
        self.threshold = threshold

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "file": self.file,
            "threshold": self.threshold,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Beat for ever."""
        watcher = _Watcher(threading.get_ident())
        watcher.start()
        collector = _Collector()
        gc.callbacks.append(collector)
        try:
            while True:
                began, cpu, collecting = time.monotonic(), time.thread_time(), collector.seconds
                await asyncio.sleep(LOOK_EVERY)
                late = time.monotonic() - began - LOOK_EVERY
                stacks = watcher.beat()
                if late >= self.threshold:
                    stall = summarize(late, time.thread_time() - cpu, collector.seconds - collecting, stacks)
                    with Path(self.file).open("a") as file:
                        file.write(json.dumps(asdict(stall)) + "\n")
        finally:
            watcher.ended.set()
            gc.callbacks.remove(collector)
        yield


class _Collector:
    """Count the seconds that the garbage collector takes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.monotonic()
        else:
            self.seconds += time.monotonic() - self._began


class _Watcher(threading.Thread):
    """Look at a thread while it does not beat."""

    def __init__(self, watched: int) -> None:
        super().__init__(name="loop-probe", daemon=True)
        self.ended = threading.Event()
        self._watched = watched
        self._beat = time.monotonic()
        self._stacks: list[list[str]] = []

    def beat(self) -> list[list[str]]:
        """Return what was seen since the last beat."""
        stacks, self._stacks = self._stacks, []
        self._beat = time.monotonic()
        return stacks

    def run(self) -> None:
        while not self.ended.wait(LOOK_EVERY):
            if time.monotonic() - self._beat > LOOK_AFTER:
                self._stacks.append(lines_of(sys._current_frames()[self._watched]))


def lines_of(frame: FrameType | None) -> list[str]:
    """Return a stack as texts, innermost first."""
    lines = []
    while frame is not None:
        lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return lines
