"""What the company pays to drivers and carriers, and what its trucks cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_alvys.simulator.company.growing import GrowingList
from airflow_provider_alvys.simulator.company.settlement.carrier_statements import (
    CarrierSettlement,
    carrier_settlements_between,
)
from airflow_provider_alvys.simulator.company.settlement.deductions import Deduction, DeductionPlan
from airflow_provider_alvys.simulator.company.settlement.fuel import Purchase, purchases_between
from airflow_provider_alvys.simulator.company.settlement.payroll import DriverSettlement, Payroll
from airflow_provider_alvys.simulator.company.settlement.tolls import TollAccounts

if TYPE_CHECKING:
    from airflow_provider_alvys.simulator.company.company import Company


class Accounts:
    """Statements, deductions, fuel and tolls until now, each in the order in which they came to be."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.toll_accounts = TollAccounts(company)
        self._purchases = GrowingList(partial(purchases_between, company))
        self._deductions = GrowingList(DeductionPlan(company).between)
        self._carrier_settlements = GrowingList(partial(carrier_settlements_between, company))
        self._driver_settlements = GrowingList(Payroll(company).between)

    @property
    def purchases(self) -> Sequence[Purchase]:
        """The purchases of fuel."""
        return self._purchases.until(self._company.now)

    @property
    def deductions(self) -> Sequence[Deduction]:
        """The deductions."""
        return self._deductions.until(self._company.now)

    @property
    def carrier_settlements(self) -> Sequence[CarrierSettlement]:
        """The statements of carriers."""
        return self._carrier_settlements.until(self._company.now)

    @property
    def driver_settlements(self) -> Sequence[DriverSettlement]:
        """The statements of drivers."""
        return self._driver_settlements.until(self._company.now)
