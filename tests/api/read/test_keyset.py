from __future__ import annotations

from airflow_provider_alvys.api.read.keyset import KeySet


def test_a_key_is_new_once() -> None:
    keys = KeySet()
    assert [keys.add((f"id-{number % 5000}",)) for number in range(10_000)] == [True] * 5000 + [False] * 5000
    assert len(keys) == 5000


def test_keys_with_the_same_text_in_other_fields_differ() -> None:
    keys = KeySet()
    assert keys.add(("a", "b"))
    assert keys.add(("ab", None))
    assert keys.add((1, 2))
    assert not keys.add((1, 2))
