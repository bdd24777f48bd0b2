"""The simulated company: whom it works with, and records that agree with each other."""
