"""How Sphinx builds these pages."""

import sys as _sys
from importlib.metadata import version as _version
from pathlib import Path as _Path

# pydantic cannot make llama-index-core's models where autodoc is the first to import them.
import pgrecall.llama_index as _llama_index

del _llama_index
_sys.path.insert(0, str(_Path(__file__).parent / "_extensions"))

project = "pgrecall"
author = "pgrecall contributors"
copyright = "2026, pgrecall contributors"
release = _version("pgrecall")
version = ".".join(release.split(".")[:2])

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "settings"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = "pgrecall"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autoclass_content = "class"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "member-order": "bysource", "exclude-members": "__new__"}
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# `name` in a docstring is shown as code; it is a link where a class, method or function of that name exists.
default_role = "code"

# Types of other libraries, and our own aliases of them, have no page here to link to.
nitpick_ignore_regex = [
    (r"py:.*", r"(asyncio|asyncpg|collections|contextlib|datetime|enum|np|os|npt|numpy|pathlib|types|typing|uuid)\..*"),
    (r"py:.*", r"(Any|Awaitable|Callable|Iterable|Iterator|Literal|Mapping|NDArray|Self|Sequence)"),
    (r"py:.*", r"(ClientLike|CollectionLike|CopyProgressLike|Embedding|Equals|Extra|Filter|Index|Matches|Names)"),
    (r"py:.*", r"(ProgressLike|RecordLists|Records|datetime)"),
    (r"py:.*", r"(Example|Identity|LegScores|Rankings|Scorer|SparseEmbedding|WordExtra)"),
    (r"py:.*", r"(EmbedLike|(Ingest|Isolation|Reembed)ProgressLike|RetryableLike)"),
    (r"py:.*", r"(AbstractAsyncContextManager|AbstractSet|AsyncGenerator|MoveProgressLike|Version|(pathlib\.)?Path)"),
    (r"py:.*", r"(BaseEmbedding|BaseModel|BaseNode|Document|Embeddings|Generation)"),
    (r"py:.*", r"(MetadataFilters|RelevanceFunction|Scored)"),
    (r"py:.*", r"(llama_index\..*|langchain_core\..*)"),
    (r"py:.*", r"(bool|bytes|dict|float|frozenset|int|list|memoryview|object|str|tuple|type|None|optional)"),
    (r"py:.*", r"(Base)?Exception|(Connection|Key|Lookup|Permission|Runtime|Timeout|Type|Value)Error"),
    # Errors of the drop-ins, most of which are called as those of pgrecall.errors are, which have the page.
    (r"py:exc", r"(ArgError|MismatchedDimension|MissingDependency|CollectionAlreadyExists)"),
    (r"py:exc", r"(TableMissing|ExtensionNotInstalled)"),
    (r"py:.*", r"(Metadata|RecordsIn|RecordsOut|Vectors)"),
    (r"py:.*", r"pgrecall\.[a-z_]+\..*"),  # where a room keeps it; public names are documented as pgrecall.X
]
