"""Tests of an application's own: each begins with the same rows, whatever the others do."""

import pytest

from pgrecall import Client, Record
from pgrecall.errors import DimensionMismatch


def test_note_that_was_added_is_found(client):
    notes = client.collection("notes")
    notes.upsert([Record(id="mine", embedding=[0, 1], content="Only in this test.")])
    assert [match.id for match in notes.search([0, 1], k=1)] == ["mine"]
    assert notes.count() == 2


def test_other_tests_have_left_nothing(client):
    assert [record.id for record in client.collection("notes").list().records] == ["first"]


def test_embedding_of_another_model_is_refused(client):
    with pytest.raises(DimensionMismatch):
        client.collection("notes").search([1, 0, 0])


def test_what_the_application_reads_from_the_environment(database_url, monkeypatch):
    monkeypatch.setenv("PGRECALL_URL", database_url)  # for code that opens a client without an argument
    with Client() as client:
        assert client.list_collections() == ["notes"]
