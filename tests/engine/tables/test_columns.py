"""Which column means what."""

from __future__ import annotations

import pytest

from sam_mil_engine.errors import DataError
from sam_mil_engine.tables.columns import LABEL, PATIENT, SLIDE, find_column, required


@pytest.mark.parametrize(
    "name",
    ["patient_id", "case_id", "patient", "PATIENT", "Case", "submitter_id", "Patient ID", "cases.submitter_id"],
)
def test_names_of_the_patient_in_any_case(name: str) -> None:
    assert find_column(["slide_id", "label", name], PATIENT) == 2


def test_our_own_name_comes_first() -> None:
    assert find_column(["slide", "Slide_ID"], SLIDE) == 1
    assert find_column(["class", "label"], LABEL) == 1
    assert find_column(["site", "stage"], PATIENT) is None


def test_two_candidates_are_asked_about() -> None:
    with pytest.raises(DataError, match="patient_id could be in several columns: case_id, PATIENT") as caught:
        find_column(["slide_id", "case_id", "PATIENT"], PATIENT, where="x.csv")
    assert caught.value.hint == "Say which one: --patient-column NAME"
    with pytest.raises(DataError, match="label could be in several columns: Label, label"):
        find_column(["Label", "label"], LABEL)
    assert find_column(["case_id", "patient"], PATIENT, taken=[0]) == 1


def test_the_users_word_counts() -> None:
    heading = ["slide_id", "case_id", "Patient", "outcome"]
    assert find_column(heading, PATIENT, asked="patient") == 2
    assert required(heading, LABEL, asked="outcome") == 3
    with pytest.raises(DataError, match="there is no column x, found slide_id, case_id"):
        find_column(heading, PATIENT, asked="x")
    with pytest.raises(DataError, match="2 columns are called a"):
        find_column(["a", "a"], PATIENT, asked="a")


def test_a_column_that_must_be_there() -> None:
    with pytest.raises(DataError, match="the column label is missing, found slide_id, outcome") as caught:
        required(["", "slide_id", "outcome"], LABEL)
    assert "--label-column NAME" in str(caught.value.hint)
