"""Records of the master data, such as customers and trucks, that agree with themselves and each other."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_alvys.simulator.company.masters.base import MasterFacts
from airflow_provider_alvys.simulator.company.masters.events import (
    DispatchPreferenceFacts,
    DriverEventFacts,
    MaintenanceFacts,
    TrailerEventFacts,
    TruckEventFacts,
)
from airflow_provider_alvys.simulator.company.masters.partners import (
    CarrierFacts,
    CustomerFacts,
    LocationFacts,
)
from airflow_provider_alvys.simulator.company.masters.people import DriverFacts, UserFacts
from airflow_provider_alvys.simulator.company.masters.vehicles import TrailerFacts, TruckFacts

# By the name of a row set: that of its first stream.
MASTER_FACTS: Mapping[str, type[MasterFacts]] = {
    "customers": CustomerFacts,
    "carriers": CarrierFacts,
    "locations": LocationFacts,
    "drivers": DriverFacts,
    "users": UserFacts,
    "trucks": TruckFacts,
    "trailers": TrailerFacts,
    "driver_events": DriverEventFacts,
    "truck_events": TruckEventFacts,
    "trailer_events": TrailerEventFacts,
    "maintenance": MaintenanceFacts,
    "dispatch_preferences": DispatchPreferenceFacts,
}
