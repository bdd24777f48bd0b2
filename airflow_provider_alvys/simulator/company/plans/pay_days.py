"""When drivers are paid for the accessorials of their trips."""

from __future__ import annotations

from airflow_provider_alvys.simulator.company.plans.load import Charge, Leg, Load, PlannedEvent
from airflow_provider_alvys.simulator.company.plans.weeks import settled_at
from airflow_provider_alvys.simulator.company.world.charges import DRIVER_CENTS


def driver_charges(load: Load, leg: Leg, at: int) -> list[Charge]:
    """Return the accessorials of each driver of a trip until a time."""
    drivers = 1 if leg.second_driver is None else 2
    found = []
    for charge in load.charges:
        if charge.at <= at and charge.type in DRIVER_CENTS and _leg_of(load, charge) is leg:
            rate = DRIVER_CENTS[charge.type] // drivers
            found.append(charge._replace(rate=rate, total=rate * charge.quantity // 1_000))
    return found


def paid_at(salt: int, leg: Leg, charge: Charge, driver: int) -> tuple[int, ...]:
    """Return when a driver's accessorial is paid, and unpaid and paid again; see :func:`settled_at`."""
    return settled_at(salt, driver, max(charge.at, leg.delivered_at or 0))


def add_pay_days(load: Load, salt: int) -> None:
    """Add to the events of trips when their drivers' accessorials are paid."""
    last = max((charge.at for charge in load.charges), default=0)
    for leg in load.legs:
        drivers = [driver for driver in (leg.driver, leg.second_driver) if driver is not None]
        for charge in driver_charges(load, leg, last):
            for driver in drivers:
                leg.events += map(PlannedEvent, paid_at(salt, leg, charge, driver))


def _leg_of(load: Load, charge: Charge) -> Leg:
    return next(leg for leg in load.legs if charge.stop <= leg.stops[1])
