"""What must add up in the loaded tables, as SQL that returns the rows that do not. See :mod:`.catalogue`."""
