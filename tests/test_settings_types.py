"""Settings refuse what is of another type where they are made, and say which setting it was."""

import math
from dataclasses import fields, is_dataclass
from enum import Enum

import numpy as np
import pytest

import pgrecall
from pgrecall import PGRecallError

RESULTS = {
    "CollectionStats",
    "CopyProgress",
    "CopyReport",
    "DomainInfo",
    "EmbeddingModel",
    "Facet",
    "Finding",
    "Group",
    "IndexProgress",
    "IndexRecommendation",
    "IngestFailure",
    "IngestProgress",
    "IngestReport",
    "IsolationProgress",
    "IsolationReport",
    "KeywordPlan",
    "MaintenanceReport",
    "Match",
    "Page",
    "Plan",
    "PromotedField",
    "RecallReport",
    "ReembedProgress",
    "ReembedReport",
    "ReplaceResult",
    "Scope",
    "Server",
    "SourceDocument",
    "SourceDocumentPage",
    "SparseColumn",
    "TableColumn",
    "TextColumn",
    "TuningPoint",
    "TuningReport",
    "UpsertResult",
    "VectorIndex",
}
"""What verbs return."""
RECORDS = {"Record", "RecordBatch", "RecordChange"}
"""What is stored, and checked there against the table."""
NEEDED = {
    "CollectionConfig": {"name": "docs"},
    "HashPartitions": {"count": 2},
    "Rerank": {"scorer": len},
    "Rights": {"role": "reader"},
}
BESIDE = {
    ("Columns", "document_key"): {"document_id": None},
    ("Columns", "no_document"): {"document_id": None, "document_key": "doc"},
    ("Columns", "newest_by"): {"domain_id": None},
}
"""With what else a setting is looked at at all."""
WRONG = {
    "object": (object(), ()),
    "array": (np.arange(2), ()),
    "bytes": (b"x", ()),
    "list": ([object()], ()),
    "mapping": ({object(): object()}, ()),
    "nan": (math.nan, ()),
    "complex": (1j, ()),
    "None": (None, ("None", "RetryableLike")),
    "True": (True, ("bool",)),
    "text": ("yes", ("str",)),
    "whole": (3, ("int", "float")),
    "number": (1.5, ("float",)),
    "function": (print, ("Callable", "RetryableLike", "Scorer")),
}
"""Values, and what the type of a setting names that may have them."""


def settings():
    """Return the public classes of settings: whichever are neither results nor records."""
    classes = {name: getattr(pgrecall, name) for name in pgrecall.__all__}
    return {name: made for name, made in classes.items() if is_dataclass(made) and name not in RESULTS | RECORDS}


OPTIONS = [
    pytest.param(name, option, id=f"{name}.{option.name}")
    for name, made in settings().items()
    for option in fields(made)
]


def _wrong_for(option):
    """Return the values that are of none of the types which *option* names, by what they are."""
    types = str(option.type)
    # The keys and values of a mapping, and the entries of a tuple, are not of the option itself.
    own = types.partition("[")[0] if types.startswith(("Mapping", "tuple", "frozenset")) else types
    return {kind: value for kind, (value, allowing) in WRONG.items() if not any(word in own for word in allowing)}


def _refusal(name, option, value):
    given = NEEDED.get(name, {}) | BESIDE.get((name, option.name), {}) | {option.name: value}
    try:
        getattr(pgrecall, name)(**given)
    except PGRecallError as error:
        return str(error).replace("_", " ")
    return ""


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_values_of_another_type_are_refused_by_name(name, option):
    refusals = {kind: _refusal(name, option, value) for kind, value in _wrong_for(option).items()}
    called = option.name.replace("_", " ").removesuffix("s")
    assert len(refusals) >= 8
    assert {kind: said for kind, said in refusals.items() if called not in said} == {}


def test_all_public_settings_are_walked():
    assert {"CollectionConfig", "Columns", "IngestOptions", "PoolConfig", "Rights"} <= set(settings())
    assert {name for name in RESULTS | RECORDS if name not in pgrecall.__all__} == set()
    assert not any(issubclass(made, Enum) for made in settings().values())
