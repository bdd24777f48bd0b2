"""The truth for business questions, in plain Python over the records. See :mod:`.answers`."""
