"""The records of loads, trips, invoices and tenders at a time."""
