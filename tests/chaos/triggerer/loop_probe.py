"""
A probe of a triggerer's event loop.

Airflow's watchdog reports that the loop was blocked, but not by which code. This trigger runs in the same
loop and measures how late it wakes up; while it is late, a thread samples the stack of the loop's thread.
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

from tests.chaos.triggerer.loop_blocks import SAMPLE_AFTER, SAMPLE_EVERY, summarize


class LoopProbe(BaseEventTrigger):
    """
    Write each block of the event loop to a file, and never fire.

    :param file: gets a JSON line for each block.
    :param threshold: shortest block in seconds.
    """

    def __init__(self, file: str, threshold: float = 0.2) -> None:
        super().__init__()
        self.file = file
        self.threshold = threshold

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments."""
        arguments = {"file": self.file, "threshold": self.threshold}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Measure until cancelled."""
        sampler = _StackSampler(threading.get_ident())
        sampler.start()
        gc_timer = _GcTimer()
        gc.callbacks.append(gc_timer)
        try:
            while True:
                began, cpu, collecting = time.monotonic(), time.thread_time(), gc_timer.seconds
                await asyncio.sleep(SAMPLE_EVERY)
                late = time.monotonic() - began - SAMPLE_EVERY
                stacks = sampler.beat()
                if late >= self.threshold:
                    block = summarize(late, time.thread_time() - cpu, gc_timer.seconds - collecting, stacks)
                    with Path(self.file).open("a") as file:
                        file.write(json.dumps(asdict(block)) + "\n")
        finally:
            sampler.ended.set()
            gc.callbacks.remove(gc_timer)
        yield


class _GcTimer:
    """A sum of the seconds of garbage collection."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.monotonic()
        else:
            self.seconds += time.monotonic() - self._began


class _StackSampler(threading.Thread):
    """A thread that samples another thread's stack while that thread sends no heartbeat."""

    def __init__(self, sampled: int) -> None:
        super().__init__(name="loop-probe", daemon=True)
        self.ended = threading.Event()
        self._sampled = sampled
        self._beat = time.monotonic()
        self._stacks: list[list[str]] = []

    def beat(self) -> list[list[str]]:
        """Record a heartbeat, and return the stacks sampled since the last one."""
        stacks, self._stacks = self._stacks, []
        self._beat = time.monotonic()
        return stacks

    def run(self) -> None:
        while not self.ended.wait(SAMPLE_EVERY):
            if time.monotonic() - self._beat > SAMPLE_AFTER:
                self._stacks.append(format_stack(sys._current_frames()[self._sampled]))


def format_stack(frame: FrameType | None) -> list[str]:
    """Return a stack as text lines, innermost first."""
    lines = []
    while frame is not None:
        lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return lines
