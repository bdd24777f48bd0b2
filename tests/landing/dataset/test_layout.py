"""Names of files and folders."""

from __future__ import annotations

import random
import re

import pytest

from airflow_provider_alvys.landing.dataset.layout import document_file, documents_folder, safe_name

UNSAFE = ["", "-", "-rf", "--help", ".", "..", ".hidden", "a.", "a ", " a", "a\n", "a\x00b", "a/b", "a\\b"]
UNSAFE += ["CON", "con", "nul.txt", "Aux", "COM1", "lpt9.x", "_runs", "_index", "tenant=b", "~", "é"]
UNSAFE += ["x" * 300]
LETTERS = "aA1._-/\\ \n\x00é☃~$%:*?\"<>|'`;&"


@pytest.mark.parametrize(
    ("file_name", "last"),
    [
        ("pod.pdf", "D1-pod.pdf"),
        ("POD signed (2).PDF", "D1-POD_signed_2.PDF"),
        ("POD-signed.pdf", "D1-POD_signed.pdf"),
        ("..", "D1-file"),
        (".", "D1-file"),
        ("", "D1-file"),
        (".pdf", "D1-pdf"),
        ("a.b.c", "D1-a.b.c"),
        ("x.exe .pdf", "D1-x.exe.pdf"),
        ("x.notanextension", "D1-x.notanextension"),
        ("Übergabe.pdf", "D1-bergabe.pdf"),
        ("☃.pdf", "D1-file.pdf"),
        ("y" * 300 + ".jpeg", f"D1-{'y' * 80}.jpeg"),
    ],
)
def test_a_document_is_named_by_its_id_and_its_safe_name(file_name: str, last: str) -> None:
    assert document_file("documents/load", "1001", "D1", file_name) == f"documents/load/1001/{last}"


def test_no_name_is_dangerous_whatever_it_is_made_of() -> None:
    rng = random.Random(5)
    for _ in range(3000):
        parent, id, name = ("".join(rng.choices(LETTERS, k=rng.randrange(1, 12))) for _ in range(3))
        path = document_file("documents/load", parent, id, name)
        assert re.fullmatch(
            r"documents/load/[A-Za-z0-9]([A-Za-z0-9._-]{0,110}[A-Za-z0-9_-])?/"
            r"[A-Za-z0-9][A-Za-z0-9._-]{0,220}[A-Za-z0-9]",
            path,
        ), path
        assert path == document_file("documents/load", parent, id, name)


def test_two_documents_never_share_a_file() -> None:
    names = [
        document_file("documents/load", "1", id, name)
        for id, name in (("A", "B-c"), ("A-B", "c"), ("A-B-c", ""))
    ]
    assert len(set(names)) == 3
    rng = random.Random(7)
    letters = "aB1-._ "
    of: dict[str, str] = {}
    for _ in range(20_000):
        id, name = ("".join(rng.choices(letters, k=rng.randrange(1, 6))) for _ in range(2))
        path = document_file("documents/load", "1", id, name)
        assert of.setdefault(path, id) == id, path


def test_two_ids_never_share_a_name() -> None:
    rng = random.Random(6)
    ids = {"".join(rng.choices(LETTERS, k=rng.randrange(1, 9))) for _ in range(3000)} | {
        "x" * 90,
        "x" * 91,
        *UNSAFE,
    }
    assert len({safe_name(id) for id in ids}) == len(ids)
    assert not {*UNSAFE} & {safe_name(id) for id in ids}


@pytest.mark.parametrize("text", UNSAFE)
def test_an_unsafe_id_becomes_a_safe_name_of_its_own(text: str) -> None:
    tenant = documents_folder("load", text).partition("tenant=")[2]
    parent, file = document_file("x", text, text, "y.pdf").split("/")[1:]
    assert safe_name(text) == tenant == parent == file.removesuffix("-y.pdf") != text
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", tenant)


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_file_name_becomes_a_safe_one(name: str) -> None:
    assert re.fullmatch(r"f/1/D1-[A-Za-z0-9._]*[A-Za-z0-9]", document_file("f", "1", "D1", name))
