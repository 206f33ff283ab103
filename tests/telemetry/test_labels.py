import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.telemetry.labels import OTHER, ModelSeries, bounded, status_label

Pair = tuple[str, str]


def series(limit: int = 4, unlisted: int = 2, *, known: frozenset[str] = frozenset()) -> ModelSeries[Pair]:
    made: ModelSeries[Pair] = ModelSeries(lambda model, target: (model, target), limit=limit, unlisted=unlisted)
    made.known = known.__contains__
    return made


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (0, "none"),
        (-5, "none"),
        (99, "none"),
        (100, "1xx"),
        (200, "2xx"),
        (404, "4xx"),
        (429, "429"),
        (599, "5xx"),
        (500, "500"),
        (502, "502"),
        (503, "503"),
        (504, "504"),
        (501, "5xx"),
        (600, "none"),
    ],
)
def test_status_labeles_are_a_closed_set(status: int, name: str) -> None:
    assert status_label(status) == name


def test_a_bounded_set_takes_no_more_names_when_it_is_full() -> None:
    assert bounded({"a"}, "a", 1) == "a"
    assert bounded({"a"}, "b", 1) == OTHER
    assert bounded({"a"}, "b", 2) == "b"


def test_made_up_names_leave_room_for_listed_ones() -> None:
    models = series(limit=10, unlisted=2, known=frozenset({"real"}))
    assert [models.of(name, name) for name in ("x1", "x2", "x3")] == [("x1", "x1"), ("x2", "x2"), (OTHER, OTHER)]
    assert models.of("real", "real") == ("real", "real")
    assert models.overflowed == 1


def test_a_made_up_name_with_a_real_target_is_made_up() -> None:
    models = series(unlisted=0, known=frozenset({"real"}))
    assert models.of("x", "real") == (OTHER, OTHER)


def test_a_name_that_is_listed_later_gets_a_series_of_its_own() -> None:
    models = series(unlisted=0)
    assert models.of("late", "late") == (OTHER, OTHER)
    models.known = {"late"}.__contains__
    assert models.of("late", "late") == ("late", "late")


@pytest.mark.parametrize("name", ["a\nb", "\x00", "\u202emodel", "\ud800", "m" * 300, OTHER])
def test_names_that_no_page_should_show_are_other(name: str) -> None:
    models = series(known=frozenset({name}))
    assert models.of(name, name) == (OTHER, OTHER)
    assert models.label(name) == OTHER


def test_a_label_without_a_series_takes_up_no_room() -> None:
    models = series(unlisted=1, known=frozenset({"real"}))
    assert [models.label(name) for name in ("", "real", "x")] == ["", "real", OTHER]
    assert models.all() == ()


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=60))
def test_there_are_never_more_series_than_the_limit_and_other(pairs: list[Pair]) -> None:
    models = series(limit=5, unlisted=3, known=frozenset("abc"))
    given_pairs = [models.of(*pair) for pair in pairs]
    assert len(models.all()) <= 6
    assert set(given_pairs) == set(models.all())
    assert models.overflowed == given_pairs.count((OTHER, OTHER))
