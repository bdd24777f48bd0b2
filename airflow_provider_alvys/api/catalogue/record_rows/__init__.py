"""The fields of records, as data, by area."""
