"""The rows that tests and writes add to the company's."""

from __future__ import annotations

from airflow_provider_alvys.simulator.company.plans.billing import Invoice

# Rows that a test or a write adds have numbers from here on.
EXTRA = 10_000_000


class AddedRows:
    """
    When added rows begin, and how they belong together.

    Some trips and invoices are added on their own: the company has planned no load for them.
    """

    def __init__(self) -> None:
        self.times: dict[int, int] = {}
        self.loads: set[int] = set()
        self.invoices: dict[int, Invoice] = {}
        # Trips that no statement is made for, because somebody changed what it would say: load and position.
        self.unstated: set[tuple[int, int]] = set()
        self._trips: dict[int, list[int]] = {}
        self._loads_of_trips: dict[int, int] = {}
        self._legs: dict[int, tuple[int, int]] = {}

    def add_trip(self, trip: int, load: int, position: int | None) -> None:
        """Remember the load of a trip, and its position if the load has it planned."""
        self._trips.setdefault(load, []).append(trip)
        self._loads_of_trips[trip] = load
        if position is not None:
            self._legs[trip] = load, position

    def trips_of(self, load: int) -> list[int]:
        """Return the trips that were added to a load."""
        return self._trips.get(load, [])

    def leg_of(self, trip: int) -> tuple[int, int]:
        """Return the load that plans a trip, and the position of the trip in it."""
        return self._legs.get(trip, (trip, 0))

    def load_of(self, trip: int) -> int:
        """Return the load of a trip."""
        return self._loads_of_trips.get(trip, trip)
