"""Holes punched at random into the tables of loads, and changes of a company meanwhile."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_alvys.simulator.process import Simulator
from tests.tables.databases import Db

KINDS = ("rows", "day", "status", "month", "old", "cent")


@dataclass
class Hole:
    """What was damaged: the keys of the rows, of which those removed are missing."""

    kind: str
    keys: list[str]
    is_removed: bool = field(default=False)


def punch(db: Db, kind: str, rng: random.Random) -> Hole:
    """Damage some rows of the table."""
    rows = sorted(db.rows("loads"), key=lambda row: row["id"])
    row = rng.choice(rows)
    if kind == "rows":
        return _remove(db, kind, rng.sample(rows, rng.randint(1, 5)))
    if kind in ("day", "month"):
        length = 10 if kind == "day" else 7
        return _remove(db, kind, [r for r in rows if r["created_at"][:length] == row["created_at"][:length]])
    if kind == "status":
        same = [r for r in rows if r["status"] == row["status"]]
        return _remove(db, kind, [r for r in same if r["created_at"][:7] == row["created_at"][:7]])
    chosen = [r for r in rng.sample(rows, 5) if kind == "old" or r["customer_rate_amount"]]
    for one in chosen:
        if kind == "old":
            # As if the last change had never been loaded.
            version = "2024-06-01 00:00:00.0000000" + ("+00:00" if db.kind in ("sqlite", "postgres") else "")
            db.query("UPDATE loads SET updated_at = ?, status = 'Quoted' WHERE id = ?", version, one["id"])
        else:
            amount = str(_cent_more(one["customer_rate_amount"]))
            db.query("UPDATE loads SET customer_rate_amount = ? WHERE id = ?", amount, one["id"])
    return Hole(kind, [one["id"] for one in chosen])


def _cent_more(amount: Any) -> Any:
    from decimal import Decimal

    return Decimal(amount) + Decimal("0.01")


def _remove(db: Db, kind: str, rows: list[dict[str, Any]]) -> Hole:
    keys = [row["id"] for row in rows]
    for key in keys:
        db.query("DELETE FROM load_stops WHERE load_id = ?", key)
        db.query("DELETE FROM loads WHERE id = ?", key)
    return Hole(kind, keys, is_removed=True)


def change_company(alvys: Simulator, rng: random.Random) -> None:
    """Let the company work, so that Alvys is ahead of the tables."""
    for _ in range(rng.randint(1, 4)):
        kind = rng.choice(("change", "add", "status", "remark"))
        if kind == "add":
            alvys.add(stream="loads", rows=rng.randint(1, 3))
        elif kind == "status":
            alvys.change(
                rows=rng.randint(1, 6), columns={"Status": rng.choice(("Delivered", "Open", "Paid"))}
            )
        elif kind == "remark":
            alvys.change(rows=rng.randint(1, 3), columns={"PONumber": f"P{rng.randint(1, 10**6)}"})
        else:
            alvys.change(rows=rng.randint(1, 9), columns={"OrderNumber": f"O{rng.randint(1, 10**6)}"})
