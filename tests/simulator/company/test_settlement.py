from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_alvys.simulator.process import Simulator
from tests import identities
from tests.simulator.calls import NOW

Row = dict[str, Any]
Records = Mapping[str, list[Row]]
Month = Mapping[str, tuple[dict[str, Row], list[Row], list[Row]]]
CARRIERS, DRIVERS = "carrier_settlement_statements", "driver_settlement_statements"
OURS = (CARRIERS, DRIVERS, "deductions", "fuel", "tolls")


def read(alvys: Simulator, *streams: str) -> Records:
    return {stream: [identities.decode(row) for row in alvys.truth_rows(stream=stream)] for stream in streams}


def restart(alvys: Simulator, loads: int = 500) -> None:
    alvys.reset(loads=loads, fleet=40, now=NOW)
    alvys.set_clock(NOW)


@pytest.fixture(scope="module")
def world(simulator: Simulator) -> Records:
    """The records of 1,500 loads."""
    restart(simulator, 1_500)
    return read(simulator, *identities.STREAMS, "drivers", "trucks", "carriers")


def breaks(records: Records) -> list[identities.Break]:
    return [found for found in identities.broken(records) if found.stream in OURS]


def amount(value: Any) -> Decimal:
    return Decimal(value["Amount"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text[:19])


def lines(records: Records, category: str, status: str = "Processed") -> list[tuple[Row, Row]]:
    return [
        (statement, line)
        for statement in records[DRIVERS]
        for line in statement["LineItems"]
        if line["Category"] == category and statement["Status"] == status
    ]


def test_everything_adds_up_at_any_time(alvys: Simulator) -> None:
    restart(alvys)
    counts = []
    for days in (0, 6, 8):
        alvys.advance(days=days)
        records = read(alvys, *identities.STREAMS)
        assert breaks(records) == []
        counts.append([len(records[stream]) for stream in OURS])
        # Somebody changes a few loads, which end there.
        alvys.change(stream="trips", rows=20, columns={"UpdatedBy": "x", "OrderNumber": "x"})
    for few, many in pairwise(counts):
        assert all(before < after for before, after in zip(few, many, strict=True))


def test_every_kind_of_line_occurs(world: Records) -> None:
    kinds = {line["Category"] for statement in world[DRIVERS] for line in statement["LineItems"]}
    assert kinds == {
        *("LineHaul", "Accessorials", "Echecks", "Deductions", "Reimbursements", "Escrow", "Fuel", "Tolls"),
        *("Bonus", "Shortfall"),
    }
    assert {statement["Status"] for statement in world[DRIVERS]} == {"Processed", "Failed"}
    assert {statement["Driver"]["Type"] for statement in world[DRIVERS]} == {
        "COMPANY",
        "OWNER_OPERATOR",
        "CONTRACTOR",
    }
    assert {line["TransactionType"] for _, line in lines(world, "Escrow")} == {"Deposit", "Withdrawal"}
    signs = {
        category: {amount(line["Amount"]) > 0 for _, line in lines(world, category)} for category in kinds
    }
    assert signs["Shortfall"] == {True, False}
    assert signs["Reimbursements"] == signs["LineHaul"] == signs["Bonus"] == signs["Accessorials"] == {True}
    assert signs["Deductions"] == signs["Fuel"] == signs["Tolls"] == signs["Echecks"] == {False}
    for category in ("Fuel", "Tolls", "Escrow"):
        assert {s["Driver"]["Type"] for s, _ in lines(world, category)} == {"OWNER_OPERATOR"}


def test_every_kind_of_a_carriers_statement_occurs(world: Records) -> None:
    statements = world[CARRIERS]
    assert {row["Status"] for row in statements} == {"Paid", "Partially Paid", "Processed", "On Hold"}
    assert {item["Type"] for row in statements for trip in row["Trips"] for item in trip["Items"]} == {
        *("LineHaul", "Accessorial", "ECheck"),
    }
    assert {row["NetAmount"]["Currency"] for row in statements} == {840, 124}
    assert {len(row["Payments"]) for row in statements} >= {0, 1, 2}
    assert max(len(row["Trips"]) for row in statements) > 1
    assert any(row["RemitTo"] != row["Payee"]["Name"] for row in statements)
    described = {item["Description"] for row in statements for trip in row["Trips"] for item in trip["Items"]}
    assert "TONU" in described
    # One for each carrier, currency and day.
    keys = Counter(
        (row["Payee"]["Id"], row["StatementDate"], row["NetAmount"]["Currency"]) for row in statements
    )
    assert set(keys.values()) == {1}


def test_a_carriers_statement_pays_what_the_trip_says(world: Records) -> None:
    trips = {trip["Id"]: trip for trip in world["trips"]}
    carriers = {carrier["Id"]: carrier for carrier in world["carriers"]}
    counts = Counter(trip["TripId"] for row in world[CARRIERS] for trip in row["Trips"])
    assert set(counts.values()) == {1}
    for statement in world[CARRIERS]:
        payee = carriers[statement["Payee"]["Id"]]
        assert statement["Payee"]["Name"] == payee["Name"]
        assert statement["RemitTo"] == payee.get("FactoringCompany", payee)["Name"]
        for shown in statement["Trips"]:
            trip = trips[shown["TripId"]]
            assert trip["Carrier"]["Id"] == payee["Id"]
            assert trip["Carrier"]["TotalPayable"] == shown["NetAmount"]
            assert trip["Carrier"]["Accessorials"] == shown["AccessorialsAmount"]
            assert shown.get("InvoiceNumber") == trip["Carrier"].get("CarrierInvoiceNumber")
        is_paid = ["CarrierPaidAt" in trips[shown["TripId"]] for shown in statement["Trips"]]
        assert all(is_paid) == (statement["Status"] == "Paid")
    held = [trip for trip in world["trips"] if trip.get("CarrierPayOnHold")]
    assert held
    assert not any("CarrierPaidAt" in trip for trip in held)


def test_each_trip_is_paid_once_to_each_driver(world: Records) -> None:
    paid = Counter((line["TripNumber"], row["Driver"]["Id"]) for row, line in lines(world, "LineHaul"))
    assert set(paid.values()) == {1}
    trips = {trip["TripNumber"]: trip for trip in world["trips"]}
    for number, driver in paid:
        crew = [trips[number][role]["Id"] for role in ("Driver1", "Driver2") if role in trips[number]]
        assert driver in crew
    # Those delivered two weeks ago are paid.
    old = datetime.fromtimestamp(NOW - 20 * 86_400)
    for trip in world["trips"]:
        if "Driver1" in trip and "DeliveredAt" in trip and moment(trip["DeliveredAt"]) < old:
            for role in ("Driver1", "Driver2"):
                assert role not in trip or (trip["TripNumber"], trip[role]["Id"]) in paid


def test_the_pay_follows_the_drivers_policy(world: Records) -> None:
    trips = {trip["TripNumber"]: trip for trip in world["trips"]}
    kinds = Counter()
    for row, line in lines(world, "LineHaul"):
        trip = trips[line["TripNumber"]]
        roles = [role for role in ("Driver1", "Driver2") if role in trip]
        driver = next(trip[role] for role in roles if trip[role]["Id"] == row["Driver"]["Id"])
        policy = driver["RatesV2"]
        kinds[policy["Kind"], len(roles)] += 1
        if policy["Kind"] == "PerMile":
            miles = [trip[f"{kind}Mileage"]["Distance"]["Value"] for kind in ("Loaded", "Empty")]
            exact = sum(
                Decimal(mile) * Decimal(policy[name])
                for mile, name in zip(miles, ("Rate", "EmptyRate"), strict=True)
            )
            assert abs(exact / len(roles) - amount(line["Amount"])) <= Decimal("0.005")
        else:
            if line["PolicyName"] == "Non-revenue miles":
                continue
            (part,) = line["SubLines"]
            share = Decimal(part["Rate"].rstrip("%"))
            assert share == Decimal(policy["Rate"])
            assert abs(Decimal(part["Quantity"]) * share / 100 - amount(line["Amount"])) <= Decimal("0.005")
    assert {("PerMile", 1), ("PerMile", 2), ("Percentage", 1)} <= kinds.keys()


def test_the_drivers_accessorials_of_a_trip_are_those_of_the_statement(world: Records) -> None:
    trips = {trip["TripNumber"]: trip for trip in world["trips"]}
    found = defaultdict(list)
    for row, line in lines(world, "Accessorials"):
        if "TripNumber" in line:
            found[line["TripNumber"], row["Driver"]["Id"]].append(line["Title"])
    assert found
    for (number, driver), titles in found.items():
        shown = [
            detail["Type"]
            for role in ("Driver1", "Driver2")
            if trips[number].get(role, {}).get("Id") == driver
            for detail in trips[number][role]["AccessorialsDetails"]
        ]
        assert not Counter(titles) - Counter(shown)
    late = [line for _, line in lines(world, "Accessorials") if "TripNumber" not in line]
    assert {line["Title"] for line in late} <= {"Layover", "TONU"}
    assert late


def test_a_shortfall_is_paid_by_the_next_statement(world: Records) -> None:
    by_driver = defaultdict(list)
    for statement in sorted(world[DRIVERS], key=lambda row: row["Number"]):
        if statement["Status"] == "Processed":
            by_driver[statement["Driver"]["Id"]].append(statement)
    carried = 0
    for statements in by_driver.values():
        owed = Decimal(0)
        for statement in statements:
            amounts = [
                amount(line["Amount"]) for line in statement["LineItems"] if line["Category"] == "Shortfall"
            ]
            assert [value for value in amounts if value < 0] == ([-owed] if owed else [])
            owed = sum((value for value in amounts if value > 0), Decimal(0))
            net = amount(statement["Totals"]["NetIncome"])
            assert net == 0 if owed else net >= 0
            carried += bool(owed)
    assert carried > 2


def test_a_failed_statement_pays_nothing_and_the_next_one_pays_its_trips(world: Records) -> None:
    failed = [row for row in world[DRIVERS] if row["Status"] == "Failed"]
    paid = {(line["TripNumber"], row["Driver"]["Id"]): row for row, line in lines(world, "LineHaul")}
    followed = 0
    for statement in failed:
        for line in statement["LineItems"]:
            if line["Category"] == "LineHaul":
                later = paid.get((line["TripNumber"], statement["Driver"]["Id"]))
                assert later is None or later["StatementDate"] > statement["StatementDate"]
                followed += later is not None
    assert followed > 2


def test_a_statement_of_a_week_exists_from_the_monday_after(alvys: Simulator) -> None:
    restart(alvys, 300)
    for _ in range(10):
        alvys.advance(days=1)
        now = datetime.fromtimestamp(alvys.advance(hours=1))
        for statement in read(alvys, DRIVERS)[DRIVERS]:
            sunday = datetime.fromisoformat(statement["StatementDate"])
            assert sunday.weekday() == 6
            assert (now - sunday).days >= 1
            assert statement["PayPeriodTitle"].endswith(f"{sunday:%b} {sunday.day}, {sunday.year}")


def test_deductions_are_paid_by_the_statement_that_takes_them(world: Records) -> None:
    owed: Counter[Decimal] = Counter()
    for deduction in world["deductions"]:
        assert amount(deduction["Amount"]) < 0
        assert ("DriverId" in deduction) != ("TruckId" in deduction)
        assert moment(deduction["Date"]).time() == datetime.min.time()
        if deduction["IsPaid"]:
            owed[deduction["Description"], amount(deduction["Amount"])] += 1
    taken = Counter((line["Title"], amount(line["Amount"])) for _, line in lines(world, "Deductions"))
    assert taken == owed
    assert {deduction["Type"] for deduction in world["deductions"]} == {"Recurring", "Once"}
    assert {deduction["IsPaid"] for deduction in world["deductions"]} == {True, False}
    assert {"Insurance", "Truck lease", "Advance", "Cash advance", "Damage claim"} == {
        deduction["Category"] for deduction in world["deductions"]
    }
    assert "Escrow" not in {deduction["Category"] for deduction in world["deductions"]}


@pytest.fixture(scope="module")
def month(simulator: Simulator) -> Month:
    """By stream, the rows before a month or added in it, its changes, and the rows after it."""
    restart(simulator)
    streams = ("deductions", DRIVERS)
    known = {
        stream: {identities.key_of(stream, row): row for row in rows}
        for stream, rows in read(simulator, *streams).items()
    }
    simulator.advance(days=36)
    found = {}
    for stream, rows in read(simulator, *streams).items():
        changes = simulator.changes(stream=stream)
        added = {change["key"]: change["row"] for change in changes if change["change"] == "added"}
        found[stream] = known[stream] | added, changes, rows
    return found


def test_parts_replace_a_deduction_and_sum_to_it(
    month: Month,
) -> None:
    known, changes, rows = month["deductions"]
    gone = [known[change["key"]] for change in changes if change["change"] == "removed"]
    assert len(gone) > 2
    for original in gone:
        parts = [row for row in rows if row["GroupId"] == original["GroupId"]]
        titles = [f"{original['Description']} (part {1 + turn})" for turn in range(len(parts))]
        assert sorted(row["Description"] for row in parts) == titles
        assert sum(amount(row["Amount"]) for row in parts) == round(Decimal(original["Amount"]["Amount"]), 2)
        assert len(parts) in (2, 3)
    # The payment of a deduction is a change without a time.
    assert any(change["change"] == "changed" and change["row"]["IsPaid"] for change in changes)


def test_a_reverted_statement_is_made_again_under_a_new_number(
    month: Month,
) -> None:
    known, changes, rows = month[DRIVERS]
    gone = [int(change["key"]) for change in changes if change["change"] == "removed"]
    after = {row["Number"]: row for row in rows}
    assert len(gone) > 1
    for number in gone:
        assert number not in after
        old = known[str(number)]
        (new,) = [
            row
            for row in after.values()
            if (row["Driver"]["Id"], row["PayPeriodId"]) == (old["Driver"]["Id"], old["PayPeriodId"])
        ]
        assert new["Number"] > number
        assert [line["Title"] for line in new["LineItems"]] == [line["Title"] for line in old["LineItems"]]


def test_fuel_is_bought_on_the_way_of_the_trucks_trip(world: Records) -> None:
    trips = [trip for trip in world["trips"] if "Truck" in trip and "PickedUpAt" in trip]
    trucks = {truck["Id"]: truck["TruckNum"] for truck in world["trucks"]}
    ways = defaultdict(list)
    for trip in trips:
        end = moment(trip["DeliveredAt"]) if "DeliveredAt" in trip else datetime.max
        ways[trip["Truck"]["Id"]].append((moment(trip["PickedUpAt"]), end, trip))
    for purchase in world["fuel"]:
        at = moment(purchase["TransactionDate"])
        found = [trip for start, end, trip in ways[purchase["TruckId"]] if start < at < end]
        assert purchase["DriverId"] in [trip["Driver1"]["Id"] for trip in found]
        owners = {trip.get("OwnerOperator", {}).get("Id") for trip in found}
        assert purchase.get("OwnerOperatorId") in owners
        assert purchase["TruckNumber"] == trucks[purchase["TruckId"]]
        gallons, price = Decimal(purchase["Quantity"]["Value"]), Decimal(purchase["Description"].split()[-1])
        assert abs(gallons * price - amount(purchase["FuelTotal"])) <= Decimal("0.005")
        assert 1 < gallons < 200
        assert (purchase["Location"]["Country"] == "CA") == (purchase["Total"]["Currency"] == 124)
    assert {purchase["Category"] for purchase in world["fuel"]} == {"Diesel", "DEF"}
    for part in ("Fees", "Discounts", "Advances"):
        assert {amount(purchase[part]) > 0 for purchase in world["fuel"]} == {True, False}
    assert {purchase["Total"]["Currency"] for purchase in world["fuel"]} == {840, 124}


def test_the_balance_with_an_agency_falls_with_each_toll(world: Records) -> None:
    balances: dict[str, Decimal] = {}
    filled = 0
    trucks = {truck["Id"]: truck for truck in world["trucks"]}
    posted = [toll["PostedAt"] for toll in world["tolls"]]
    assert [moment(at) for at in posted] == sorted(moment(at) for at in posted)
    for toll in world["tolls"]:
        truck = trucks[toll["UnitId"]]
        assert (toll["UnitNumber"], toll["LicensePlate"]) == (truck["TruckNum"], truck["LicenseNum"])
        assert toll["EntryTime"][:19] < toll["ExitTime"][:19] <= toll["TransactionDate"][:19]
        assert 0 < (moment(toll["PostedAt"]) - moment(toll["TransactionDate"])).total_seconds() < 5 * 86_400
        before = balances.get(toll["Agency"])
        balance = balances[toll["Agency"]] = amount(toll["RunningBalance"])
        if before is not None:
            replenished = balance - (before - amount(toll["Amount"]) - amount(toll["Fee"]))
            assert replenished in (0, 500)
            filled += replenished == 500
        assert balance > 0
    assert filled
    assert {"TxTag", "E-ZPass", "Illinois Tollway"} < balances.keys()


def test_a_load_that_somebody_changes_gives_rise_to_nothing_more(alvys: Simulator) -> None:
    restart(alvys, 200)
    alvys.change(keys=alvys.truth_keys(), columns={"PONumber": "mine"})
    before = read(alvys, *OURS)
    alvys.advance(days=3)
    bought = {row["Id"] for row in before["fuel"]}
    new = [row for row in read(alvys, "fuel")["fuel"] if row["Id"] not in bought]
    frozen = read(alvys, "trips")["trips"]
    alvys.advance(days=27)
    records = read(alvys, *identities.STREAMS)
    assert breaks(records) == []
    numbers = {load["LoadNumber"] for load in records["loads"] if load.get("PONumber") == "mine"}
    delivered = {trip["TripNumber"] for trip in frozen if "DeliveredAt" in trip}
    for _, line in lines(records, "LineHaul"):
        assert line["LoadNumber"] not in numbers or line["TripNumber"] in delivered
    assert all(moment(row["TransactionDate"]) > datetime.fromtimestamp(NOW) for row in new)


def test_no_statement_pays_for_a_trip_that_is_gone_or_not_delivered_any_more(alvys: Simulator) -> None:
    restart(alvys, 200)
    records = read(alvys, *identities.STREAMS)
    paid = [line["TripNumber"] for _, line in lines(records, "LineHaul")][:4]
    brokered = [trip["TripNumber"] for row in records[CARRIERS] for trip in row["Trips"]]
    known = {line["TripNumber"] for _, line in lines(records, "LineHaul")}
    unpaid = [
        trip["TripNumber"]
        for trip in records["trips"]
        if "Driver1" in trip and "DeliveredAt" in trip and trip["TripNumber"] not in known
    ]
    ids = {trip["TripNumber"]: trip["Id"] for trip in records["trips"]}
    alvys.change(stream="trips", keys=[ids[paid[0]]], columns={"Status": "Open"})
    alvys.change(stream="trips", keys=[ids[unpaid[0]]], columns={"Status": "Open"})
    alvys.change(stream="trips", keys=[ids[paid[1]]], columns={"IsDeleted": True})
    alvys.change(stream="trips", keys=[ids[paid[2]]], columns={"Status": "Completed"})
    alvys.remove(stream="trips", keys=[ids[brokered[0]]])
    for days in (0, 9):
        alvys.advance(days=days)
        records = read(alvys, *identities.STREAMS)
        assert breaks(records) == []
        left = {line["TripNumber"] for _, line in lines(records, "LineHaul")}
        assert left.isdisjoint([*paid[:2], unpaid[0]])
        assert paid[2] in left
        assert brokered[0] not in {trip["TripNumber"] for row in records[CARRIERS] for trip in row["Trips"]}


def test_the_same_seed_gives_the_same_statements_however_time_passes(alvys: Simulator) -> None:
    def live(*days: int, **options: Any) -> Records:
        restart(alvys, 60)
        if options:
            alvys.reset(**options)
            alvys.set_clock(NOW)
        for passed in days:
            alvys.advance(days=passed)
        alvys.set_clock(NOW)
        return read(alvys, *OURS)

    first = live(6)
    assert first == live(6)
    # The changes that an advance finds are those of its days.
    assert [row["Number"] for row in first[DRIVERS]] == [row["Number"] for row in live(2, 4)[DRIVERS]]
    assert first != live(6, seed=2)


@pytest.mark.parametrize("stream", OURS)
def test_the_number_of_rows_is_exact(alvys: Simulator, stream: str) -> None:
    alvys.reset(loads=10, fleet=20, now=NOW, rows={stream: 130})
    assert len(alvys.truth_keys(stream=stream)) == 130


def test_added_rows_add_up(alvys: Simulator) -> None:
    restart(alvys, 100)
    for stream in OURS:
        assert len(alvys.add(stream=stream, rows=2)) == 2
    records = read(alvys, *identities.STREAMS)
    assert breaks(records) == []
