"""A server that records requests, for what the simulator does not cover."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.recorder import Recorder


@pytest.fixture(scope="session")
def recording() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture
def recorder(recording: Recorder) -> Recorder:
    recording.reset()
    return recording
