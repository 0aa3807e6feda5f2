"""Expected best of n trials: answers by hand, and every way to draw them counted."""

import itertools

import numpy as np
import pytest

from study.stats.effort import best_so_far, expected_best


def test_by_hand():
    # of two draws from 1, 2, 3 the greatest is 1 in 1 of 9 ways, 2 in 3 and 3 in 5
    assert expected_best(np.array([3.0, 1.0, 2.0]), 1) == pytest.approx(2)
    assert expected_best(np.array([3.0, 1.0, 2.0]), 2) == pytest.approx(22 / 9)
    assert expected_best(np.array([0.7]), np.array([1, 5])) == pytest.approx([0.7, 0.7])
    assert expected_best(np.array([0.5, 0.9]), 1000) == pytest.approx(0.9)


@pytest.mark.parametrize("values", [[0.6, 0.8], [0.1, 0.5, 0.5, 0.9], [0.7, 0.7, 0.7], [-1.0, 2.0, 0.5]])
def test_it_is_the_mean_over_all_ways_to_draw(values):
    for n in (1, 2, 3, 4):
        ways = [max(drawn) for drawn in itertools.product(values, repeat=n)]
        assert expected_best(np.array(values), n) == pytest.approx(np.mean(ways))


def test_the_shape_is_that_of_n_and_more_trials_are_never_worse():
    values = np.random.default_rng(0).normal(size=30)
    n = np.arange(1, 31).reshape(5, 6)
    found = expected_best(values, n)
    assert found.shape == (5, 6) and expected_best(values, 3).shape == ()
    assert (np.diff(found.ravel()) > 0).all() and found.max() < values.max()


def test_a_trial_without_a_value_counts_as_no_better_than_the_worst():
    lost = np.array([0.6, np.nan, 0.8])
    assert expected_best(lost, 2) == pytest.approx(expected_best(np.array([0.6, 0.6, 0.8]), 2))
    assert expected_best(lost, 2) < expected_best(np.array([0.6, 0.8]), 2)
    assert np.isnan(expected_best(np.array([np.nan, np.nan]), np.array([1, 2]))).all()


def test_no_trial_is_no_effort():
    with pytest.raises(ValueError, match="begins at 1"):
        expected_best(np.array([0.5]), np.array([0, 1]))


def test_the_best_so_far():
    found = best_so_far(np.array([np.nan, 0.6, 0.5, np.nan, 0.9]))
    assert np.isnan(found[0]) and found[1:].tolist() == [0.6, 0.6, 0.6, 0.9]
