"""Work ahead of its consumer: the order of a loop, its errors, and never more than the bound in memory."""

import threading
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runtime.ahead import mapped_ahead, readers


@given(
    delays=st.lists(st.sampled_from([0.0, 0.001, 0.003]), max_size=20),
    threads=st.integers(1, 5),
    ahead=st.integers(1, 9),
)
@settings(max_examples=25, deadline=None)
def test_results_come_in_the_order_of_the_items(delays, threads, ahead):
    def work(item):
        time.sleep(item[1])
        return item[0]

    found = mapped_ahead(work, enumerate(delays), threads=threads, ahead=ahead)
    assert list(found) == list(range(len(delays)))


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_is_raised_in_its_turn_and_nothing_beyond_the_bound_is_taken(threads):
    taken, ahead = [], 5

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    def work(number):
        if number in (3, 4):
            raise ValueError(f"item {number}")
        return number

    results = mapped_ahead(work, items(), threads=threads, ahead=ahead)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="item 3"):
        next(results)
    assert len(taken) <= 3 + ahead


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_items_than_allowed_wait_for_the_consumer(ahead):
    done, lock = [], threading.Lock()

    def work(number):
        with lock:
            done.append(number)

    for count, _ in enumerate(mapped_ahead(work, range(30), threads=4, ahead=ahead), start=1):
        time.sleep(0.001)
        assert len(done) <= count - 1 + ahead


def test_a_consumer_that_stops_leaves_no_thread_behind():
    before = threading.active_count()
    results = mapped_ahead(lambda number: number, range(100), threads=3, ahead=6)
    next(results)
    results.close()
    assert threading.active_count() == before


def test_an_encoder_on_a_cpu_leaves_the_other_cores_to_other_processes():
    assert 1 <= readers(torch.device("cpu")) <= 2
