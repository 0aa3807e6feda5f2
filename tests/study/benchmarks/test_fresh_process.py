"""Work in a fresh interpreter: its result and its errors come back, and its death is noticed."""

import os

import pytest

from mmbc.errors import ConfigError, StudyError
from study.benchmarks.fresh_process import in_fresh_process
from study.benchmarks.statistics_speed import bootstrap_speed
from study.design.study_file import load


def test_the_result_comes_back_with_the_memory_of_that_process():
    facts = in_fresh_process("statistics", bootstrap_speed, 60, 2, 2, 2, 50)
    assert (facts["rows"], facts["cells"], facts["replicates"]) == (120, 4, 50)
    assert in_fresh_process("number", os.getpid) != os.getpid()


def test_an_error_of_the_users_comes_back_under_the_works_name():
    with pytest.raises(ConfigError):
        load("no preset", None, [])
    with pytest.raises(StudyError, match="settings: .*no preset"):
        in_fresh_process("settings", load, "no preset", None, [])


def test_a_process_that_dies_is_noticed():
    with pytest.raises(StudyError, match="crash: its process ended with exit code 3"):
        in_fresh_process("crash", os._exit, 3)
