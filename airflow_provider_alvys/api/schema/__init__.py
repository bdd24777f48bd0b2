"""Types of fields, values and currencies."""
