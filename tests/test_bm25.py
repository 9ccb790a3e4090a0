"""What BM25 is made of, with nothing but Python."""

import math

import pytest

from pgrecall import KeywordOptions, TextSearch
from pgrecall.bm25 import SERIES, Corpus, inverse_document_frequency
from pgrecall.errors import ConfigError
from pgrecall.keyword_plan import Candidates, Lexeme
from pgrecall.planner.lexemes import choose_candidates, every_row, expected_share, finds_faster
from pgrecall.text_search import configuration


@pytest.mark.parametrize(("frequency", "close"), [(0, 0.0), (1, 0.94), (2, 1.92), (3, 2.91), (10, 9.9)])
def test_frequency_is_recovered_from_the_rank_of_one_lexeme(frequency, close):
    rank = 0.1 / SERIES * sum(1 / j**2 for j in range(1, frequency + 1))
    recovered = 1 / (SERIES - 10 * SERIES * rank) - 1 / SERIES
    assert recovered == pytest.approx(close, abs=0.02)


def test_rarer_lexemes_weigh_more_and_none_less_than_nothing():
    weights = [inverse_document_frequency(rows, 1_000) for rows in (0, 1, 10, 500, 1_000, 2_000)]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] > 0


def test_lexemes_that_are_not_listed_are_rarer_than_those_that_are():
    corpus = Corpus(rows=1_000, frequencies={"common": 0.5, "commoner": 0.6}, least=0.01, known=True)
    assert corpus.rows_with("common") == 500
    assert corpus.rows_with("rare") == 5
    assert corpus.prefixed("common") == 1_000
    assert Corpus(rows=3).rows_with("rare") == 1


def test_keyword_scores_are_below_1_and_one_half_for_one_unique_word():
    corpus = Corpus(rows=1_000)
    assert corpus.keyword_score(0) == 0
    assert corpus.keyword_score(math.log(1_001)) == pytest.approx(0.5)
    assert corpus.keyword_score(1e9) < 1


def test_dense_scores_begin_at_what_is_picked_at_random():
    corpus = Corpus(rows=1_000, background=0.6, own=1.0)
    assert [corpus.dense_score(score) for score in (0.2, 0.6, 0.8, 1.0)] == pytest.approx([0, 0, 0.5, 1])
    assert Corpus(rows=2, background=1.0, own=1.0).dense_score(0.7) == 0.7


def lexemes(*rows):
    return [Lexeme(f"l{n}", count, 1.0) for n, count in enumerate(rows)]


def test_few_rows_are_all_ranked():
    chosen = choose_candidates(lexemes(3, 10, 50), 1.0)
    assert (len(chosen.rare), chosen.common, chosen.complete) == (3, (), True)


def test_common_lexemes_are_left_to_come_together():
    chosen = choose_candidates(lexemes(3, 10, 50_000, 60_000), 1.0)
    assert [lexeme.text for lexeme in chosen.rare] == ["l0", "l1"]
    assert [lexeme.text for lexeme in chosen.common] == ["l2", "l3"]
    assert not chosen.complete


def test_a_filter_that_keeps_little_lets_common_lexemes_in():
    assert choose_candidates(lexemes(3, 10, 50_000, 60_000), 0.001).complete


def test_one_common_lexeme_beside_rare_ones_is_not_looked_for():
    chosen = choose_candidates(lexemes(3, 50_000), 1.0)
    assert [lexeme.text for lexeme in chosen.rare] == ["l0"]
    assert (chosen.common, chosen.complete) == ((), False)


def test_only_common_lexemes_must_come_together():
    chosen = choose_candidates(lexemes(50_000, 60_000), 1.0)
    assert (chosen.rare, len(chosen.common), chosen.complete) == ((), 2, False)


def test_the_only_lexeme_is_looked_for_however_common_it_is():
    chosen = choose_candidates(lexemes(50_000), 1.0)
    assert (len(chosen.rare), chosen.common, chosen.complete) == (1, (), True)
    assert chosen.limit < 50_000


def test_phrases_that_few_rows_can_have_decide_alone():
    chosen = choose_candidates(lexemes(50_000, 60_000), 1.0, required=100)
    assert (chosen.rare, chosen.common, chosen.complete) == ((), (), True)


def test_every_row_is_bounded_too():
    every = every_row(lexemes(50_000, 60_000))
    assert (len(every.rare), every.common, every.complete) == (2, (), True)
    assert every.limit < 50_000


@pytest.mark.parametrize(
    ("language", "name"),
    [("english", "english"), ("en", "english"), ("de-AT", "german"), ("pt_BR", "portuguese"), ("my_schema.mine",) * 2],
)
def test_languages_are_names_or_codes(language, name):
    assert configuration(language) == name


@pytest.mark.parametrize("language", ["", None, 3, "zh", "ko-KR", "nul\x00"])
def test_what_is_no_language_is_refused(language):
    with pytest.raises(ConfigError, match="language"):
        configuration(language)


@pytest.mark.parametrize(
    "options",
    [{"k1": -1}, {"k1": "2"}, {"b": 1.5}, {"b": True}, {"k1": math.nan}],
)
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(ConfigError):
        TextSearch(**options)
    with pytest.raises(ConfigError):
        KeywordOptions(**options)


@pytest.mark.parametrize("options", [{"engine": "lucene"}, {"engine": "pg_textsearch", "language_key": "lang"}])
def test_engines_that_there_are_not_are_refused(options):
    with pytest.raises(ConfigError, match=r"engine|language_key"):
        TextSearch(**options)


@pytest.mark.parametrize("options", [{"language_key": ""}, {"language_key": 3}])
def test_a_key_for_languages_is_text(options):
    with pytest.raises(ConfigError, match="language_key"):
        TextSearch(**options)


@pytest.mark.parametrize("options", [{"syntax": "sql"}, {"fuzzy": 1}, {"language": "zh"}])
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ConfigError):
        KeywordOptions(**options)


def test_the_index_of_all_rows_is_worth_it_where_few_rows_match_or_most_rows_are_ones_own():
    assert finds_faster(1.0)
    assert finds_faster(0.01, matching=0.001)
    assert not finds_faster(0.01, matching=0.5)
    assert not finds_faster(0.001)


def test_candidates_are_expected_by_their_lexemes():
    rare, common = lexemes(10, 20), lexemes(500, 700)
    assert expected_share(Candidates(tuple(rare), tuple(common), 100, ""), 1_000) == 0.53
    assert expected_share(Candidates(tuple(common), (), 100, ""), 1_000) == 1.0
    assert 0 < expected_share(Candidates((), (), 100, ""), 1_000) < 1
