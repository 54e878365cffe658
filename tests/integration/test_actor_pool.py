"""Actor pools: results in order, no actor idle, errors as they were raised. One real cluster.

Items wait for files that other items write. So an order of events is proven on a machine of any speed.
"""

import os
from dataclasses import replace

import pytest
import ray

from harness.cluster.actor_pool import PREFETCH_PER_ACTOR
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.errors import InputError
from tests.support.waiting import meet, wait_until

pytestmark = pytest.mark.ray


@pytest.fixture
def on_ray(ray_cluster, tmp_path):
    return RayCompute(tmp_path)


def meet_on(pool, actors, folder):
    """Give the pool one item per actor, each of which ends when all have begun; return the actors' processes."""
    return list(pool.results(lambda _: meet(folder, actors), range(actors)))


@pytest.mark.parametrize("actors", [0, 1])
def test_the_calling_process_and_all_actors_work_at_the_same_time(ray_cluster, actors, tmp_path):
    """The first item of each process ends when all processes have begun one."""

    def square_and_process(number):
        if number < 0:
            raise ArithmeticError(f"{number} is negative")
        return number**2, meet(tmp_path / "working", 1 + actors)

    numbers = list(range(40))
    with start_pool(actors) as pool:
        started = meet_on(pool, actors, tmp_path / "started")
        squares, processes = zip(
            *pool.results(square_and_process, numbers, use_caller=True), strict=True
        )
        assert list(squares) == [number**2 for number in numbers]
        assert set(processes) == {os.getpid(), *started}
        with pytest.raises(ArithmeticError, match="-3 is negative"):
            list(pool.results(square_and_process, [1, 2, -3, -4], use_caller=True))


def test_a_calling_process_that_works_hands_out_all_that_was_finished_meanwhile(
    ray_cluster, monkeypatch, tmp_path
):
    """Whenever it looks, all items of the actors are finished. So it works on one item while they get new ones."""
    really = ray.wait

    def wait_when_all_are_finished(items, **options):
        really(items, num_returns=len(items))
        return really(items, **options)

    actors, rounds = 2, 8
    handed_out = actors * PREFETCH_PER_ACTOR
    with start_pool(actors) as pool:
        meet_on(pool, actors, tmp_path / "started")
        monkeypatch.setattr(ray, "wait", wait_when_all_are_finished)
        items = range(handed_out + rounds * (handed_out + 1))  # it looks once before it works
        processes = list(pool.results(lambda _: os.getpid(), items, use_caller=True))
    assert processes.count(os.getpid()) == rounds


def test_results_come_in_order_and_no_actor_waits_for_a_slow_one(on_ray, tmp_path):
    """Item 0 ends last but for those that its actor was handed in advance."""
    items, ended = range(12), tmp_path / "ended"
    ended.mkdir()

    def process(item):
        if item == 0:
            wait_until(lambda: len(list(ended.iterdir())) == len(items) - PREFETCH_PER_ACTOR)
        (ended / str(item)).touch()
        return item, os.getpid()

    with start_pool(2) as pool:
        meet_on(pool, 2, tmp_path / "started")
        results = list(replace(on_ray, pool=pool).map(process, items, label="uneven"))
    assert [item for item, _ in results] == list(items)
    of_slow = [item for item, process in results if process == results[0][1]]
    assert len(of_slow) == PREFETCH_PER_ACTOR


def test_as_many_items_as_actors_are_one_each(ray_cluster, tmp_path):
    """No item ends before each actor has one, whether the actors are still joining or all free."""
    with start_pool(3) as pool:
        for state in ("joining", "free"):
            assert len(set(meet_on(pool, 3, tmp_path / state))) == 3


def test_the_first_items_error_arrives_as_it_was_raised(on_ray, tmp_path):
    """Item 1 fails after item 2: item 3 begins when the pool knows that item 2 has failed, and frees item 1."""

    def refuse(item):
        if item == 1:
            wait_until((tmp_path / "known").exists)
        if item == 3:
            (tmp_path / "known").touch()
        raise InputError(f"item {item} is no good")

    with start_pool(2) as pool:
        meet_on(pool, 2, tmp_path / "started")
        with pytest.raises(InputError, match=r"^item 1 is no good$"):
            list(replace(on_ray, pool=pool).map(refuse, [1, 2, 3], label="refusing"))
