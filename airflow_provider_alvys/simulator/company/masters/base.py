"""What the records of all master data have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from zlib import crc32

import msgspec

from airflow_provider_alvys.simulator.company.world import crew, names
from airflow_provider_alvys.simulator.company.world.names import bits_of, pick
from airflow_provider_alvys.simulator.company.world.parties import SUBSIDIARIES, Fleet
from airflow_provider_alvys.simulator.company.world.places import Place
from airflow_provider_alvys.simulator.data.columns import RowSource
from airflow_provider_alvys.simulator.data.people import STAFF, email
from airflow_provider_alvys.simulator.data.sample_values import id_of
from airflow_provider_alvys.simulator.data.times import DAY, HOUR, format_time

# The company created its first records this long before its first loads.
_HISTORY = 6 * 365 * DAY
_NOTE_TYPES = ("General", "General", "System", "Safety", "Assignment")
OWN_SUBSIDIARY = SUBSIDIARIES[0].id


class MasterFacts(ABC):
    """
    The fields of a stream of master data.

    :param salt: the company's.
    :param rows: the stream's rows.
    """

    # The top-level fields that it decides.
    fields: ClassVar[frozenset[str]]

    def __init__(self, salt: int, rows: RowSource) -> None:
        self._salt = salt
        # Rows with the same number in different streams have nothing else in common.
        self._own_salt = hash((salt, crc32(type(self).__name__.encode())))
        self._rows = rows

    def record(self, number: int) -> Mapping[str, Any]:
        """Return all its fields of a row: times as microseconds since 1970, nested ones as text."""
        return {name: value for name, value in self._record(number).items() if value is not None}

    @abstractmethod
    def _record(self, number: int) -> Mapping[str, Any]:
        """Return the fields of a row; None for those that it lacks."""

    def value(self, number: int, name: str) -> Any:
        """Return a field of a row, or None if the row lacks it."""
        return self._record(number).get(name)

    def _bits(self, number: int, use: int) -> int:
        return bits_of(self._own_salt, number, use)

    def _pick(self, values: Sequence[Any], number: int, use: int) -> Any:
        return pick(values, self._own_salt, number, use)

    def _created_at(self, number: int) -> int:
        """Return when a record was created: before the first load, or when the row was added."""
        rows = self._rows
        if number >= rows.count:
            return rows.started_at(number)
        begin = rows.data_end - int(rows.options.days * DAY) - _HISTORY
        share = number + (self._bits(number, 801) & 0xFFFF) / 0x10000
        return _working_hour(begin + int(share * _HISTORY / rows.count), self._bits(number, 802))

    def _day(self, days: int) -> int:
        """Return the midnight so many days after the data's end; negative for before."""
        return self._rows.data_end // DAY * DAY + days * DAY

    def _id(self, name: str, number: int, item: int = 0) -> str:
        """Return an id of a nested object."""
        return str(id_of(name)(bits_of(hash((self._own_salt, item)), number, 803)))

    def _phone(self, number: int, state: str = "TN", item: int = 0) -> str:
        return names.phone(self._own_salt + item, number, state)

    def _count(self, stream: str) -> int:
        return self._rows.row_set_of(stream).count

    def _column(self, stream: str, name: str, number: int) -> Any:
        """Return a field of another stream's row, or None if there is no such row at the start."""
        rows = self._rows.row_set_of(stream)
        return rows.column(name)[number] if number < rows.count else None

    def _user_id(self, role: str, number: int) -> str | None:
        """Return the id of a user with a role, or None without users."""
        users = crew.users_with(role, self._count("users"))
        return self._column("users", "Id", self._pick(users, number, 804)) if users else None

    def _notes(self, number: int, at: int, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Return one or two notes, written after a time."""
        notes, first = [], self._bits(number, 805)
        for item in range(1 + first % 2):
            bits = self._bits(number, 806 + item)
            user = bits % len(STAFF)
            written = at + (bits >> 8) % max(1, self._rows.data_end - at)
            notes.append(
                {
                    "id": self._id("Note", number, item),
                    "Description": texts[(first // 2 + item) % len(texts)],
                    "NoteType": _NOTE_TYPES[(bits >> 16) % len(_NOTE_TYPES)],
                    "Time": time_text(written),
                    "User": STAFF[user],
                }
            )
        return notes

    def _contacts(self, number: int, titles: Sequence[str], domain: str, state: str) -> list[dict[str, Any]]:
        """Return one to three people of another company."""
        contacts = []
        for item in range(1 + self._bits(number, 811) % 3):
            bits = self._bits(number, 812 + item)
            first = names.FIRST_NAMES[bits % len(names.FIRST_NAMES)]
            name = f"{first} {names.LAST_NAMES[(bits >> 8) % len(names.LAST_NAMES)]}"
            contact = {
                "Id": self._id("Contact", number, item),
                "Name": name,
                "Email": email(name, domain),
                "Phone": self._phone(number, state, item),
                "Extension": str(100 + (bits >> 16) % 800),
                "Title": titles[(bits >> 24) % len(titles)],
            }
            if bits % 3 == 0:
                contact["Mobile"] = self._phone(number, state, item + 7)
            contacts.append(contact)
        return contacts

    def _reference(self, number: int, name: str, value: str, kind: str, item: int = 0) -> dict[str, Any]:
        bits = self._bits(number, 821 + item)
        return {
            "Id": self._id("Reference", number, item),
            "ReferenceId": self._id(f"ReferenceId {self._rows.spec.name} {name.split()[0]}", 0),
            "Name": name,
            "Value": value,
            "Type": kind,
            "Access": ("Internal", "Public")[bits % 2],
            "Origin": ("Manual", "Integration", "EDI", "Unknown")[(bits >> 4) % 4],
        }


def address(street: str, place: Place) -> dict[str, str]:
    """Return an address."""
    return {"Street": street, "City": place.city, "State": place.state, "ZipCode": place.zip_code}


def fleet_record(fleet: Fleet) -> dict[str, str]:
    """Return a fleet."""
    return {"Id": fleet.id, "Name": fleet.name, "InvoiceNumberPrefix": fleet.invoice_prefix}


def time_text(micros: int) -> str:
    """Return a time in full seconds."""
    return format_time(micros - micros % 1_000_000, 0)


def number_text(value: int, places: int = 1) -> msgspec.Raw:
    """Return a number with zeros after the point, which a float would lose."""
    return msgspec.Raw(f"{value}.{'0' * places}".encode())


def _working_hour(micros: int, bits: int) -> int:
    """Return a time on the same day between 14:00 and 23:00 UTC, in milliseconds."""
    return micros // DAY * DAY + 14 * HOUR + bits % (9 * HOUR) // 1000 * 1000
