"""What follows for other fields and records if somebody else than the company changes one."""
