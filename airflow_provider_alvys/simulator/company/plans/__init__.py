"""What will happen to each load, from its creation to its last payment."""
