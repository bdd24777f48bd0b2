"""Times in which a triggerer's event loop stood still, and who was at work in them."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# A folder of this name is in every line of this package's code, wherever it was installed.
_OURS = "/airflow_provider_alvys/"
# Seconds between two looks at a loop that stands still, and until the first.
LOOK_EVERY = 0.02
LOOK_AFTER = 0.08


@dataclass(frozen=True)
class Stall:
    """
    A time in which the loop stood still.

    :param at: when it ended, in seconds since 1970.
    :param seconds: how long it was.
    :param cpu: seconds of CPU that the loop's thread had: few where others had the processor, or it waited.
    :param collecting: seconds in which Python collected garbage: nobody's code runs then.
    :param watched: seconds in which somebody could look: few where the whole process had no processor.
    :param share: of the looks at it in which code of this package was at work in the loop's thread.
    :param seen: the innermost lines of the loop's thread, most often seen first.
    :param whole: all of one of these stacks, innermost first.
    """

    at: float
    seconds: float
    cpu: float
    collecting: float
    watched: float
    share: float
    seen: list[str]
    whole: list[str]

    @property
    def known(self) -> float:
        """For how many of its seconds it is known whose code was at work."""
        return max(0.0, min(self.seconds - self.collecting, max(self.cpu - self.collecting, self.watched)))

    @property
    def ours(self) -> float:
        """For how many of them it was at code of this package."""
        return self.known * self.share


def summarize(seconds: float, cpu: float, collecting: float, stacks: list[list[str]]) -> Stall:
    """Say what a stall's stacks have in common."""
    ours = sum(any(_OURS in line for line in stack) for stack in stacks)
    seen = Counter(" < ".join(_outlines(stack)[:4]) for stack in stacks)
    return Stall(
        at=time.time(),
        seconds=round(seconds, 3),
        cpu=round(cpu, 3),
        collecting=round(collecting, 3),
        watched=round(LOOK_AFTER + len(stacks) * LOOK_EVERY, 3) if stacks else 0.0,
        share=round(ours / len(stacks), 2) if stacks else 0.0,
        seen=[f"{count} x {text}" for text, count in seen.most_common(4)],
        whole=_outlines(stacks[len(stacks) // 2]) if stacks else [],
    )


def _outlines(stack: list[str]) -> list[str]:
    """Return a stack without what imports are made of, and where packages lie."""
    return [line.split("site-packages/")[-1] for line in stack if not line.startswith("<frozen importlib")]


def read_stalls(file: Path) -> list[Stall]:
    """Return what a probe has written."""
    return [Stall(**json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []
