"""The fields of records, by subject."""
