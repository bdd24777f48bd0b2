"""Runs of a stream, and how fresh it is: as the view, the function and the status page say it."""

from __future__ import annotations

import pytest

# Runs by their age in hours, with changes of their manifests; age in hours, cadence in seconds, and verdict.
CASES = [
    pytest.param([(1, {"proof": "open"})], (None, 3600, "never"), id="never complete"),
    pytest.param(
        [(5, {}), (1, {"proof": "open"})], (5.0, 3600, "late"), id="an open run after a complete one"
    ),
    pytest.param([(1, {}), (5, {})], (1.0, 3600, "fresh"), id="an older run is loaded later"),
    pytest.param([(1, {"as_of": None})], (None, None, "unknown"), id="of an earlier version"),
    pytest.param([(1, {"as_of": None}), (3, {})], (3.0, 3600, "late"), id="one of them with as_of"),
    pytest.param([(1, {"by": "created"})], (1.0, None, "unknown"), id="another window"),
    pytest.param(
        [(1, {"by": "created"}), (2, {})], (2.0, 3600, "late"), id="another window is no regular sync"
    ),
    pytest.param([(1, {"filters": {"CustomerId": "c"}})], (1.0, None, "unknown"), id="filtered"),
    pytest.param([(1, {"by": None})], (1.0, 3600, "fresh"), id="read in full"),
    pytest.param(
        [(1, {"by": "created"}), (2, {"proof": "open"})],
        (None, 3600, "never"),
        id="only a sweep is complete",
    ),
]
