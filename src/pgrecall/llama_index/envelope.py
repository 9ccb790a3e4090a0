"""What only LlamaIndex knows of a node, made small.

A chunk of `SentenceSplitter` names its document and its neighbours, each with a copy of the metadata and a hash; as
LlamaIndex writes it, that is more than the chunk itself. Here metadata that is the node's own is not written again,
nor what is as it is by default, nor the document's id, which has a column.

=====  ==============================================================================================
key    what
=====  ==============================================================================================
``k``  kind of node, where it is not ``TextNode``
``o``  order of the metadata's keys, which jsonb does not keep: for each its place among the sorted ones
``p``  where in the document the text begins and ends
``x``  keys that models do not see: one list for both, or one for embedding and one for language models
``r``  relationships: by kind ``[id, type, hash, metadata]``, or a list of these, `None` at the end left out.
       The id of the source is null where the column has it. A hash of SHA-256 is ``=`` and its bytes in
       base64, any other is a list of one. The metadata is null where it is the node's own,
       ``[changed, gone]`` where it differs from that, and an object where it has little to do with it
``f``  all other fields that differ from their defaults
=====  ==============================================================================================

Earlier versions wrote the node's fields as they are, with ``class_name`` among them.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from llama_index.core.schema import NodeRelationship, ObjectType, TextNode

from pgrecall import jsonb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llama_index.core.schema import BaseNode, RelatedNodeInfo

CLASS_NAME: Final = "class_name"
_TEXT_NODE: Final = TextNode.class_name()
# What has a column of its own, or a key of its own here. A text resource keeps its other parts, such as a type.
_SEPARATE: Final[dict[str, Any]] = {
    **dict.fromkeys(("id_", "embedding", "metadata", "text", "relationships", "start_char_idx", "end_char_idx"), True),
    **dict.fromkeys(("excluded_embed_metadata_keys", "excluded_llm_metadata_keys"), True),
    "text_resource": {"text"},
}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SCALARS: Final = (str, int, float, bool, type(None))
_SCALAR_TYPES: Final = frozenset(_SCALARS)
Envelope = dict[str, Any]


def pack(node: BaseNode, document_id: str | None) -> Envelope:
    """Return what has to be stored beside the columns, as JSON knows it, to make *node* again.

    Args:
        node: The node.
        document_id: What is stored as the document's id.
    """
    fields = node.model_dump(mode="json", exclude=_SEPARATE, exclude_defaults=True)
    kind = fields.pop(CLASS_NAME)
    if fields.get("obj", "") is None:
        del fields["obj"]
    found = {
        "k": None if kind == _TEXT_NODE else kind,
        "o": _order(tuple(node.metadata)),
        "p": _place(node),
        "x": _excluded(node),
        "r": _relationships(node, document_id),
        "f": fields,
    }
    return {key: value for key, value in found.items() if value}


def unpack(envelope: Envelope, metadata: dict[str, Any], document_id: str | None) -> tuple[str, dict[str, Any]]:
    """Return the kind of a node, and its fields, as they can be validated, but for those that are columns."""
    fields: dict[str, Any] = dict(envelope.get("f", ()))
    if (order := envelope.get("o")) is not None:
        metadata = {key: metadata[key] for key in _sorted(tuple(metadata), order)}
    fields["metadata"] = metadata
    if (place := envelope.get("p")) is not None:
        fields["start_char_idx"], fields["end_char_idx"] = place
    if (excluded := envelope.get("x")) is not None:
        both = excluded if isinstance(excluded[0], list) else (excluded, list(excluded))
        fields["excluded_embed_metadata_keys"], fields["excluded_llm_metadata_keys"] = both
    if (related := envelope.get("r")) is not None:
        fields["relationships"] = {
            kind: [_info(one, metadata, None) for one in entry if one]
            if entry and isinstance(entry[0], list)
            else _info(entry, metadata, document_id)
            for kind, entry in related.items()
        }
    return envelope.get("k", _TEXT_NODE), fields


def _place(node: BaseNode) -> list[int | None] | None:
    place = [getattr(node, "start_char_idx", None), getattr(node, "end_char_idx", None)]
    return None if place == [None, None] else place


def _excluded(node: BaseNode) -> Sequence[Any]:
    embed, llm = node.excluded_embed_metadata_keys, node.excluded_llm_metadata_keys
    return embed if embed == llm else [embed, llm]


def _relationships(node: BaseNode, document_id: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for relationship, related in node.relationships.items():
        kind = str(relationship.value)
        if isinstance(related, list):
            found[kind] = [_entry(one, node.metadata) for one in related] or [[]]
            continue
        entry = _entry(related, node.metadata)
        if relationship is NodeRelationship.SOURCE and related.node_id == document_id:
            entry[0] = None
        found[kind] = entry
    return found


def _entry(related: RelatedNodeInfo, own: Mapping[str, Any]) -> list[Any]:
    kind = related.node_type
    entry = [
        related.node_id,
        kind.value if isinstance(kind, ObjectType) else kind,
        _packed(related.hash),
        _difference(related.metadata, own),
    ]
    while len(entry) > 1 and entry[-1] is None:
        entry.pop()
    return entry


def _info(entry: Sequence[Any], own: Mapping[str, Any], document_id: str | None) -> dict[str, Any]:
    node_id, kind, digest, difference = [*entry, None, None, None][:4]
    match difference:
        case None:
            metadata = own
        case [changed, gone]:
            metadata = {key: value for key, value in own.items() if key not in gone} | changed
        case _:
            metadata = difference
    # Validating the node makes objects of them, and copies of their metadata, faster than is done here.
    return {
        "node_id": document_id if node_id is None else node_id,
        "node_type": kind,
        "hash": _unpacked(digest) if digest else digest,
        "metadata": metadata,
    }


def _packed(digest: str | None) -> str | list[str] | None:
    if digest is None or _SHA256.fullmatch(digest) is None:
        return None if digest is None else [digest]
    return "=" + b2a_base64(bytes.fromhex(digest), newline=False).decode()


def _unpacked(digest: str | list[str]) -> str:
    return a2b_base64(digest[1:]).hex() if isinstance(digest, str) else digest[0]


def _difference(metadata: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    # Almost always a copy, which is seen sooner as a whole: Python takes only values of other types for equal.
    if metadata == own:
        types = list(map(type, metadata.values()))
        if types == list(map(type, own.values())) and _SCALAR_TYPES.issuperset(types):
            return None
    changed = {key: value for key, value in metadata.items() if key not in own or not _same(value, own[key])}
    gone = [key for key in own if key not in metadata]
    if not changed and not gone:
        return None
    return dict(metadata) if len(changed) + len(gone) >= len(metadata) else [changed, gone]


def _same(value: Any, other: Any) -> bool:
    if value is other:
        return True
    if type(value) is not type(other):
        return False
    if isinstance(value, _SCALARS):
        return value == other
    try:
        return jsonb.dumps(value) == jsonb.dumps(other)
    except jsonb.JSONValueError:
        return False


@lru_cache(maxsize=1_024)
def _order(keys: tuple[str, ...]) -> str | None:
    """Return the places of the keys among the sorted ones, or `None` where they are sorted, or are no keys."""
    try:
        ordered = sorted(keys, key=_shorter_first)
    except (AttributeError, UnicodeEncodeError):
        return None  # the engine will say what is wrong with them
    if list(keys) == ordered:
        return None
    places = {key: str(place) for place, key in enumerate(ordered)}
    return " ".join(places[key] for key in keys)


@lru_cache(maxsize=1_024)
def _sorted(keys: tuple[str, ...], order: str) -> tuple[str, ...]:
    """Return *keys* in their order, unless there are others now."""
    places = order.split(" ")
    if len(places) != len(keys):
        return keys
    ordered = sorted(keys, key=_shorter_first)
    return tuple(ordered[int(place)] for place in places)


def _shorter_first(key: str) -> tuple[int, bytes]:
    encoded = key.encode()
    return len(encoded), encoded
