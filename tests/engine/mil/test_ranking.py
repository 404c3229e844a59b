"""The order of patches by one of their numbers."""

from sam_mil_engine.mil.ranking import ranked


def test_the_most_and_the_least_come_first_and_equal_ones_keep_their_order() -> None:
    assert ranked([1, 3, 2, 3]).tolist() == [1, 3, 2, 0]
    assert ranked([1, 3, 2, 1], "least").tolist() == [0, 3, 2, 1]
