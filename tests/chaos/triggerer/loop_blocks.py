"""Times in which a triggerer's event loop was blocked, and the code that blocked it."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# Part of the path of every file of this package, wherever it is installed.
_PACKAGE = "/airflow_provider_alvys/"
# Seconds between two samples of a blocked loop, and until the first.
SAMPLE_EVERY = 0.02
SAMPLE_AFTER = 0.08


@dataclass(frozen=True)
class LoopBlock:
    """
    A time in which the event loop was blocked.

    :param at: when it ended, in seconds since 1970.
    :param seconds: how long it was.
    :param cpu: CPU seconds of the loop's thread: few if it waited, or if others had the processor.
    :param collecting: seconds of garbage collection.
    :param sampled: seconds in which samples were taken: few if the whole process had no processor.
    :param share: share of the samples with code of this package on the stack.
    :param top_lines: the innermost lines of the loop's thread, most frequent first.
    :param stack: one complete stack, innermost first.
    """

    at: float
    seconds: float
    cpu: float
    collecting: float
    sampled: float
    share: float
    top_lines: list[str]
    stack: list[str]

    @property
    def attributed(self) -> float:
        """The seconds in which the running code is known."""
        return max(0.0, min(self.seconds - self.collecting, max(self.cpu - self.collecting, self.sampled)))

    @property
    def own(self) -> float:
        """The seconds in which code of this package ran."""
        return self.attributed * self.share


def summarize(seconds: float, cpu: float, collecting: float, stacks: list[list[str]]) -> LoopBlock:
    """Summarize the sampled stacks of a block."""
    own = sum(any(_PACKAGE in line for line in stack) for stack in stacks)
    top_lines = Counter(" < ".join(_shorten(stack)[:4]) for stack in stacks)
    return LoopBlock(
        at=time.time(),
        seconds=round(seconds, 3),
        cpu=round(cpu, 3),
        collecting=round(collecting, 3),
        sampled=round(SAMPLE_AFTER + len(stacks) * SAMPLE_EVERY, 3) if stacks else 0.0,
        share=round(own / len(stacks), 2) if stacks else 0.0,
        top_lines=[f"{count} x {text}" for text, count in top_lines.most_common(4)],
        stack=_shorten(stacks[len(stacks) // 2]) if stacks else [],
    )


def _shorten(stack: list[str]) -> list[str]:
    """Return a stack without the import machinery and the paths of packages."""
    return [line.split("site-packages/")[-1] for line in stack if not line.startswith("<frozen importlib")]


def read_blocks(file: Path) -> list[LoopBlock]:
    """Return what a probe has written."""
    return [LoopBlock(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
