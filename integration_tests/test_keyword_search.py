"""Searching by words, held against BM25 computed in NumPy."""

import math

import asyncpg
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgrecall import (
    AsyncClient,
    Client,
    CollectionConfig,
    Columns,
    KeywordOptions,
    RecordBatch,
    Rerank,
    TextSearch,
)
from pgrecall.collection.finding import query_lexemes
from pgrecall.errors import ConfigError, ExtensionMissing, SchemaError
from pgrecall.planner import lexemes

ROWS = 1_500
SERIES = math.pi**2 / 6
WORDS = [f"w{n}" for n in range(400)]
# What is in another domain: not found, but known to the statistics.
OTHERS = ["w0 w9 intruder"] * 3


class Texts:
    """Texts of words that are common by Zipf's law, and BM25 over them."""

    def __init__(self):
        draw = np.random.default_rng(7)
        shares = 1 / np.arange(1, len(WORDS) + 1)
        shares /= shares.sum()
        self.counts = np.stack([draw.multinomial(draw.integers(5, 60), shares) for _ in range(ROWS)])
        self.texts = [" ".join(np.repeat(WORDS, row)) for row in self.counts]
        self.lengths = np.array([len(text.encode()) for text in self.texts])
        self.embeddings = draw.normal(size=(ROWS, 8)).astype(np.float32)
        self.ids = [f"t{n:04}" for n in range(ROWS)]
        self.metadatas = [{"third": n % 3} for n in range(ROWS)]

    def batch(self):
        return RecordBatch(embeddings=self.embeddings, ids=self.ids, contents=self.texts, metadatas=self.metadatas)

    def bm25(self, words, k1=1.2, b=0.75, others=OTHERS):
        series = np.cumsum(1 / np.arange(1, 200) ** 2)
        scores = np.zeros(ROWS)
        for word in words:
            counts = self.counts[:, WORDS.index(word)]
            rows = (counts > 0).sum() + sum(word in other.split() for other in others)
            idf = math.log(1 + (ROWS + len(others) - rows + 0.5) / (rows + 0.5))
            sums = np.where(counts > 0, series[np.maximum(counts, 1) - 1], 0)
            frequencies = 1 / (SERIES - sums) - 1 / SERIES
            norm = k1 * (1 - b + b * self.lengths / np.mean([*self.lengths, *map(len, others)]))
            scores += idf * frequencies * (k1 + 1) / (frequencies + norm)
        return scores


@pytest.fixture(scope="module")
def texts():
    return Texts()


@pytest.fixture(scope="module")
def filled(module_database, texts):
    """The texts in one domain, and in another some of their ids with other texts."""
    config = CollectionConfig(name="texts", dimensions=8, text_search="simple")
    with Client(module_database.url) as client:
        docs = client.get_or_create_collection(config)
        docs.upsert(texts.batch())
        other = RecordBatch(embeddings=texts.embeddings[-3:], ids=texts.ids[-3:], contents=OTHERS)
        docs.domain("other").upsert(other)
    module_database.execute("VACUUM ANALYZE texts")
    return module_database.url


@pytest.fixture
async def docs(filled):
    async with AsyncClient(filled) as client:
        yield client.collection("texts")


def check(matches, texts, expected, k, keep=None):
    """Hold *matches* against the scores *expected*: as many as there are, in order, each with its own score."""
    passing = [n for n in range(ROWS) if expected[n] > 1e-9 and (keep is None or keep(texts.metadatas[n]))]
    best = sorted((expected[n] for n in passing), reverse=True)[:k]
    found = [texts.ids.index(match.id) for match in matches]
    assert len(found) == len(set(found)) == len(best)
    assert set(found) <= set(passing)
    assert [match.scores.keyword for match in matches] == pytest.approx([expected[n] for n in found], rel=5e-3)
    assert [match.scores.keyword for match in matches] == pytest.approx(best, rel=5e-3)
    assert [match.score for match in matches] == sorted((match.score for match in matches), reverse=True)
    assert all(0 < match.score < 1 and math.isnan(match.distance) for match in matches)
    assert [match.content for match in matches] == [texts.texts[n] for n in found]


@pytest.mark.parametrize("words", [["w3"], ["w0"], ["w0", "w1"], ["w50", "w60", "w70"], ["w0", "w5", "w90", "w300"]])
@pytest.mark.parametrize("k", [1, 10, 200, 2_000])
async def test_the_best_by_bm25_are_found(docs, texts, words, k):
    check(await docs.search_keyword(" ".join(words), k), texts, texts.bm25(words), k)


@pytest.mark.parametrize("k", [1, 10, 2_000])
async def test_filters_hold_inside(docs, texts, k):
    words = ["w0", "w20", "w200"]
    found = await docs.search_keyword(" ".join(words), k, filter={"third": 1})
    check(found, texts, texts.bm25(words), k, keep=lambda metadata: metadata["third"] == 1)


async def test_parameters_can_be_tuned(docs, texts):
    words = ["w2", "w30"]
    found = await docs.search_keyword(" ".join(words), 10, options=KeywordOptions(k1=0.5, b=0.2))
    check(found, texts, texts.bm25(words, k1=0.5, b=0.2), 10)
    binary = await docs.search_keyword("w2 w30", 10, options=KeywordOptions(k1=0))
    assert len({round(match.scores.keyword, 3) for match in binary}) == 1


async def test_domains_are_kept_apart(docs):
    assert await docs.search_keyword("intruder") == []
    found = await docs.domain("other").search_keyword("intruder", 10)
    assert len(found) == 3
    assert {match.domain_id for match in found} == {"other"}
    everywhere = await docs.all_domains().search_keyword("intruder w9", 2_000)
    assert {match.domain_id for match in everywhere} == {"default", "other"}


async def test_the_rows_that_are_left_out_lose_no_answer(docs, texts, monkeypatch):
    """With an effort of next to nothing the common words are left to come together; k rows come back all the same."""
    monkeypatch.setattr(lexemes, "_EFFORT", 600)
    monkeypatch.setattr(lexemes, "_MOST", 100)
    words = ["w0", "w1", "w2", "w250"]
    plan = await docs.explain_keyword(" ".join(words))
    assert "those that have all 3 common ones" in plan.reason
    found = await docs.search_keyword(" ".join(words), 10)
    expected = texts.bm25(words)
    assert sum(expected[texts.ids.index(match.id)] for match in found) >= 0.9 * np.sort(expected)[-10:].sum()
    # More than have the rare word, or all of the others.
    check(await docs.search_keyword(" ".join(words), 1_400), texts, expected, 1_400)


async def test_words_are_counted_where_nothing_was_analysed(client, texts, connection):
    config = CollectionConfig(name="fresh", dimensions=8, text_search="simple")
    fresh = await client.get_or_create_collection(config)
    await fresh.upsert(texts.batch())
    words = ["w1", "w40", "w399"]
    check(await fresh.search_keyword(" ".join(words), 25), texts, texts.bm25(words, others=()), 25)


@pytest.mark.parametrize("query", ["", "   ", "-", '""', "the and of", "!!! ??? ()", "-w1", "*"])
async def test_nothing_to_look_for_is_nothing_found(client, query):
    docs = await client.get_or_create_collection(CollectionConfig(name="d", dimensions=2, text_search="english"))
    await docs.upsert(RecordBatch(embeddings=[[1.0, 0.0]], contents=["the one and only w1"]))
    assert await docs.search_keyword(query) == []
    assert str(await docs.explain_keyword(query)) == "no lexemes: nothing is searched for"


ENGLISH = {
    "locks": "Row level locks are held until the transaction ends.",
    "tables": "Table locks block; a level playing row.",
    "vacuum": "VACUUM reclaims storage occupied by dead tuples, which postgres calls bloat.",
    "german": "Die Sperren werden bis zum Schluss der Transaktion gehalten.",
    "empty": "",
    "none": None,
}


@pytest.fixture
async def english(client):
    docs = await client.get_or_create_collection(CollectionConfig(name="english", dimensions=2, text_search="en"))
    await docs.upsert(RecordBatch(embeddings=np.eye(6, 2) + 1, ids=list(ENGLISH), contents=list(ENGLISH.values())))
    return docs


async def ids(found):
    return [match.id for match in await found]


async def test_words_are_stemmed(english):
    assert await ids(english.search_keyword("transactions locking")) == ["locks", "tables"]


async def test_phrases_must_be_there(english):
    assert await ids(english.search_keyword('"row level" locks')) == ["locks"]
    # No record has that phrase.
    assert set(await ids(english.search_keyword('"level row" locks'))) == {"locks", "tables"}
    assert set(await ids(english.search_keyword('"locks"'))) == {"locks", "tables"}


async def test_exclusions_must_not_be_there(english):
    assert await ids(english.search_keyword("locks -table")) == ["locks"]
    assert await ids(english.search_keyword('locks -"row level"')) == ["tables"]
    assert await ids(english.search_keyword("locks -table", options=KeywordOptions(syntax="plain"))) == [
        "tables",
        "locks",
    ]


async def test_prefixes_match(english):
    assert await ids(english.search_keyword("postg*")) == ["vacuum"]
    assert set(await ids(english.search_keyword("stora* trans*"))) == {"vacuum", "locks", "german"}


async def test_highlights_show_what_matches(english):
    (match,) = await english.search_keyword('"row level"', include=["highlights"])
    assert match.highlights == ("<b>Row</b> <b>level</b> locks are held until the transaction ends",)
    (plain,) = await english.search_keyword('"row level"')
    assert plain.highlights is None


async def test_embedding_and_envelope_come_where_asked(english):
    (match,) = await english.search_keyword("vacuum", include=["embedding"])
    assert match.embedding.tolist() == [1.0, 1.0]
    with pytest.raises(ConfigError, match="include knows"):
        await english.search_keyword("vacuum", include=["score"])
    with pytest.raises(ConfigError, match="include knows"):
        await english.search([1.0, 0.0], include=["highlights"])


async def test_a_threshold_leaves_out_what_scores_lower(english):
    first, second = await english.search_keyword("locks row held")
    assert first.score > second.score
    assert await ids(english.search_keyword("locks row held", score_threshold=first.score)) == [first.id]


async def test_misspelt_words_are_found_by_their_trigrams(english, connection):
    with pytest.raises(ExtensionMissing, match="CREATE EXTENSION pg_trgm"):
        await english.search_keyword("transaktion", options=KeywordOptions(fuzzy=True))
    await connection.execute("CREATE EXTENSION pg_trgm")
    await connection.execute("ANALYZE english")
    assert await ids(english.search_keyword("postgrse")) == []
    assert await ids(english.search_keyword("postgrse", options=KeywordOptions(fuzzy=True))) == ["vacuum"]
    found = await english.search_keyword("vacuum", options=KeywordOptions(fuzzy=True))
    assert [match.id for match in found] == ["vacuum"]


async def test_a_model_orders_anew(english):
    def shortest(query, texts):
        assert query == "locks"
        return [-len(text) for text in texts]

    options = KeywordOptions(rerank=Rerank(scorer=shortest))
    assert await ids(english.search_keyword("locks", 1, options=options)) == ["tables"]


async def test_blocking_callers_find_the_same_and_their_model_runs_where_they_are(english, url):
    import threading

    def here(query, texts):
        assert threading.current_thread() is threading.main_thread()
        return [len(text) for text in texts]

    with Client(url) as client:
        docs = client.collection("english")
        assert [match.id for match in docs.search_keyword("locks -table")] == ["locks"]
        options = KeywordOptions(rerank=Rerank(scorer=here))
        assert [match.id for match in docs.search_keyword("locks", 1, options=options)] == ["locks"]
        assert "'lock'" in str(docs.explain_keyword("locks"))


async def test_languages_of_records_are_respected(client):
    config = CollectionConfig(
        name="tongues", dimensions=2, text_search=TextSearch(language="english", language_key="lang")
    )
    docs = await client.get_or_create_collection(config)
    rows = [
        ("en", "They were locking the houses", {}),
        ("de", "Die Häuser wurden verschlossen", {"lang": "de-AT"}),
        ("name", "Les maisons fermées", {"lang": "french"}),
        ("ko", "자물쇠 the houses", {"lang": "ko"}),
        ("odd", "odd houses", {"lang": 7}),
    ]
    await docs.upsert(
        RecordBatch(
            embeddings=[[1.0, 0.0]] * len(rows),
            ids=[row[0] for row in rows],
            contents=[row[1] for row in rows],
            metadatas=[row[2] for row in rows],
        )
    )
    assert await ids(docs.search_keyword("house")) == ["en"]
    assert await ids(docs.search_keyword("Haus", options=KeywordOptions(language="de"))) == ["de"]
    assert await ids(docs.search_keyword("maison", options=KeywordOptions(language="fr"))) == ["name"]
    words = KeywordOptions(language="simple")
    assert set(await ids(docs.search_keyword("houses", options=words))) == {"ko", "odd"}
    await docs.update(["en"], metadatas=[{"lang": "simple"}])
    assert await ids(docs.search_keyword("house")) == []


async def test_a_language_that_is_not_there_is_named_with_those_that_are(client, english):
    with pytest.raises(ConfigError, match=r"no text search configuration 'klingon'; it has: .*english"):
        await client.get_or_create_collection(CollectionConfig(name="k", dimensions=2, text_search="klingon"))
    with pytest.raises(ConfigError, match="no text search configuration"):
        await english.search_keyword("word", options=KeywordOptions(language="klingon"))
    for hostile in ("a b", "'; DROP TABLE x", "public.", '"'):
        with pytest.raises(ConfigError, match="no text search configuration"):
            await english.search_keyword("word", options=KeywordOptions(language=hostile))


async def test_a_collection_without_text_search_says_what_to_do(client):
    docs = await client.get_or_create_collection("plain", dimensions=2)
    with pytest.raises(SchemaError, match="add_text_search"):
        await docs.search_keyword("word")
    assert await client.collection("nothing").search_keyword("word") == []


async def test_texts_of_any_size_can_be_written(english):
    long = " ".join(f"word{n}" for n in range(300_000))
    await english.upsert(RecordBatch(embeddings=[[1.0, 0.0]], ids=["long"], contents=[long]))
    assert await ids(english.search_keyword("word17")) == ["long"]


async def test_an_adopted_column_is_used_as_it_is(client, connection):
    await connection.execute(
        "CREATE TABLE theirs (id text PRIMARY KEY, body text, vec vector(2), "
        "tsv tsvector GENERATED ALWAYS AS (setweight(to_tsvector('english', body), 'A')) STORED)"
    )
    await connection.execute("INSERT INTO theirs VALUES ('a', 'Locks and keys', '[1,0]'), ('b', 'Keys alone', '[0,1]')")
    config = CollectionConfig(
        name="theirs",
        columns=Columns(embedding="vec", content="body", metadata=None),
        text_search=TextSearch(column="tsv"),
    )
    docs = await client.get_collection(config)
    assert await ids(docs.search_keyword("key lock")) == ["a", "b"]
    made = await docs.add_text_search(TextSearch(column="tsv"))
    assert (made.column, made.indexed, made.kept) == ("tsv", True, False)
    assert await connection.fetchval("SELECT count(*) FROM pg_indexes WHERE tablename = 'theirs'") == 2
    columns = Columns(embedding="vec", content="body", metadata=None, envelope=None)
    await connection.execute("ALTER TABLE theirs ADD COLUMN odd text")
    with pytest.raises(SchemaError, match="is text, not tsvector"):
        await client.get_collection(
            CollectionConfig(name="theirs", columns=columns, text_search=TextSearch(column="odd"))
        )


async def test_a_lent_connection_searches_within_its_transaction(english, connection):
    async with connection.transaction():
        lent = english.using(connection)
        await lent.upsert(RecordBatch(embeddings=[[1.0, 0.0]], ids=["new"], contents=["unheard of"]))
        assert await ids(lent.search_keyword("unheard")) == ["new"]
        assert await ids(english.search_keyword("unheard")) == []


async def test_an_index_finds_the_rows(docs):
    plan = await docs.explain_keyword("w50 w300", postgres=True)
    assert any("Bitmap Index Scan on texts_content_tsv_idx" in line for line in plan.postgres), plan.postgres


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(query=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40))
async def test_no_text_is_an_error_or_becomes_sql(docs, query):
    found = await docs.search_keyword(query, 3, options=KeywordOptions(language="english"))
    assert all(match.domain_id == "default" for match in found)


@pytest.mark.parametrize(
    "word", ["l'eau", "back\\slash", "per%cent", "a:*", "b & c", "d | e", "f <-> g", "'; SELECT 1"]
)
async def test_signs_of_tsquery_are_words(client, word):
    docs = await client.get_or_create_collection(CollectionConfig(name="s", dimensions=2, text_search="simple"))
    await docs.upsert(RecordBatch(embeddings=[[1.0, 0.0]] * 2, ids=["a", "b"], contents=[word, "other"]))
    assert await ids(docs.search_keyword(word)) == ["a"]
    assert await ids(docs.search_keyword(f'"{word}"')) == ["a"]


def test_statement_depends_on_the_number_of_lexemes_only():
    texts = {statement(["a"]).text, statement(["'; DROP TABLE x; --"]).text, statement(["$1"]).text}
    assert len(texts) == 1
    assert statement(["a", "b"]).text not in texts


def statement(words):
    from pgrecall.collection.schema import new_table
    from pgrecall.keyword_plan import Lexeme
    from pgrecall.planner.lexemes import choose_candidates
    from pgrecall.scope import Scope
    from pgrecall.sql.dialect import Dialect
    from pgrecall.sql.selection import Selection
    from pgrecall.sql.text_search import Ranking, Returned, best
    from pgrecall.table_columns import TextColumn

    table = new_table(CollectionConfig(name="t", dimensions=3), 3, "public")
    asked = [Lexeme(word, 3, 1.0) for word in words]
    ranking = Ranking(
        text=TextColumn(column="tsv", language="simple"), lexemes=tuple(asked), k1=1.2, b=0.75, mean_length=10.0
    )
    selection = Selection(table, Scope.of("default"), Dialect("public"))
    return best(selection, ranking, choose_candidates(asked, 1.0), Returned(k=3))


async def test_a_query_is_made_lexemes_of_once(english, monkeypatch):
    asked = []
    original = query_lexemes.lexeme_sql.read_words

    def counted(*arguments):
        asked.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(query_lexemes.lexeme_sql, "read_words", counted)
    for _ in range(3):
        await english.search_keyword("held until")
    assert len(asked) == 1


async def test_a_role_that_may_not_see_statistics_counts(english, connection, database, server):
    """As under row-level security, where pg_stats is empty."""
    await connection.execute("ANALYZE english")
    await connection.execute("ALTER TABLE english ENABLE ROW LEVEL SECURITY")
    await connection.execute("CREATE POLICY everyone ON english USING (true)")
    name = "reader_of_words"
    await connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    try:
        await connection.execute(f"GRANT USAGE ON SCHEMA public TO {name}; GRANT SELECT ON english TO {name}")
        async with AsyncClient(server.address(database.name, name)) as client:
            assert set(await ids(client.collection("english").search_keyword("row locks"))) == {"locks", "tables"}
    finally:
        await connection.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_errors_of_postgresql_are_known():
    assert issubclass(asyncpg.UndefinedObjectError, query_lexemes.UNKNOWN_CONFIGURATION)
