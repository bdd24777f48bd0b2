"""The names of users with few rights."""

from __future__ import annotations

# A viewer who may read assets, but no DAG.
OUTSIDER = "outsider"
# A user without any right.
GUEST = "guest"
