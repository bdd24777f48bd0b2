"""The cases of docs/runbook.md: each is played against a simulated Alvys, as the page says."""
