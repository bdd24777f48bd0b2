"""All identities, by name."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_alvys.tables.identities.billing import (
    carrier_statement_identities,
    driver_statement_identities,
    expense_identities,
    invoice_identities,
)
from airflow_provider_alvys.tables.identities.freight import load_identities, trip_identities
from airflow_provider_alvys.tables.identities.identity import Identity

_GROUPS = (
    load_identities,
    trip_identities,
    invoice_identities,
    carrier_statement_identities,
    driver_statement_identities,
    expense_identities,
)
IDENTITIES: Mapping[str, Identity] = {identity.name: identity for group in _GROUPS for identity in group()}
