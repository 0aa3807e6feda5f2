import time

import pytest

from mmbc.threads import map_parallel


def test_an_interrupt_drops_the_work_that_has_not_begun():
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        time.sleep(0.001)
        if item == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(map_parallel(work, range(2000), 1, "testing", None))
    assert len(begun) < 2000


def test_every_item_comes_once_with_its_result_and_is_told():
    told = []
    results = dict(map_parallel(lambda item: item**2, range(50), 3, "squaring", lambda *done: told.append(done)))
    assert results == {item: item**2 for item in range(50)}
    assert told == [("squaring", done, 50) for done in range(1, 51)]
