"""What tests order: faults, rate limits and tokens."""
