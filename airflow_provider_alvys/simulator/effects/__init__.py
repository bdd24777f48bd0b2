"""The effects of writes: a function for each operation of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_alvys.api.catalogue.operations import OPERATIONS
from airflow_provider_alvys.simulator.effects import documents, freight, money, partners, tenders, webhooks
from airflow_provider_alvys.simulator.effects.write_call import EffectFunction

EFFECTS: Mapping[str, EffectFunction] = {
    "loads.update": freight.update_load,
    "load_notes.create": freight.create_note,
    "load_notes.delete": freight.delete_note,
    "trips.assign": freight.assign_trip,
    "trips.dispatch": freight.dispatch_trip,
    "trip_check_calls.create": freight.create_check_call,
    "trips.record_location": freight.record_location,
    "trip_stops.set_appointment": freight.set_appointment,
    "trip_stops.set_arrival": freight.set_arrival,
    "trip_stops.clear_arrival": freight.clear_arrival,
    "trip_stops.set_departure": freight.set_departure,
    "customers.create": partners.create_customer,
    "customers.update": partners.update_customer,
    "customers.delete": partners.delete_customer,
    "carriers.set_status": partners.set_carrier_status,
    "deductions.create": money.create_deduction,
    "deductions.delete": money.delete_deduction,
    "invoices.create_carrier_invoice": documents.create_carrier_invoice,
    "invoices.record_carrier_payment": money.record_carrier_payment,
    "invoices.record_customer_payment": money.record_customer_payment,
    "invoices.record_financing": money.record_financing,
    "tenders.create": tenders.create_tender,
    "tenders.update": tenders.update_tender,
    "tenders.cancel": tenders.cancel_tender,
    "tenders.accept": tenders.accept,
    "tenders.accept_updates": tenders.accept_updates,
    "tenders.accept_cancel": tenders.accept_cancel,
    "tenders.reject": tenders.reject,
    "webhooks.create": webhooks.create_webhook,
    "webhooks.update": webhooks.update_webhook,
    "webhooks.delete": webhooks.delete_webhook,
    "webhooks.enable": webhooks.verify_webhook,
    "webhooks.disable": webhooks.disable_webhook,
    "webhooks.verify": webhooks.verify_webhook,
    "webhooks.test": webhooks.send_test_event,
    "webhooks.rotate_secret": webhooks.rotate_secret,
    **{name: documents.upload_document for name in OPERATIONS if name.endswith("_documents.upload")},
}
