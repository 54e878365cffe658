"""Crews: the same bits on any number of actors, in order, nobody idle. One real cluster."""

import os
import time
from dataclasses import replace

import pytest

from baselines.inreach import InReaCh
from baselines.patchcore import PatchCore
from baselines.softpatch import SoftPatch
from harness.cluster.ray_compute import RayCompute, start_pool
from harness.errors import InputError
from harness.memory.scores import fill_scores
from harness.runtime.compute import InProcess
from tests.support.memory_pass import score_bytes, score_requests, undisturbed_scores

pytestmark = pytest.mark.ray


@pytest.fixture
def on_ray(ray_cluster, tmp_path):
    return RayCompute(tmp_path)


@pytest.mark.parametrize("actors", [1, 2, 3])
def test_memory_scores_are_the_same_bits_on_any_number_of_actors(on_ray, actors, tmp_path):
    requests = score_requests(tmp_path)
    with start_pool(actors) as pool:
        fill_scores(requests, compute=replace(on_ray, pool=pool))
    assert score_bytes(requests) == undisturbed_scores()


@pytest.mark.parametrize(
    "detector", [PatchCore(), SoftPatch(), InReaCh(min_channel_length=1, std_factor=None)]
)
def test_methods_give_the_same_bits_on_any_number_of_actors(small, on_ray, detector):
    images = small.train_images
    expected = detector.fit(images, seed=3, compute=InProcess()).score(images)
    for actors in (1, 2):
        with start_pool(actors) as pool:
            found = detector.fit(images, seed=3, compute=replace(on_ray, pool=pool)).score(images)
        assert found.tobytes() == expected.tobytes()


def square_and_process(number):
    time.sleep(0.05)
    if number < 0:
        raise ArithmeticError(f"{number} is negative")
    return number**2, os.getpid()


@pytest.mark.parametrize("actors", [0, 1])
def test_a_process_works_on_its_items_with_whoever_has_joined_it(ray_cluster, actors):
    numbers = list(range(40))
    with start_pool(actors) as pool:
        if actors:
            list(pool.results(square_and_process, [1]))  # it has started
        squares, processes = zip(
            *pool.results(square_and_process, numbers, use_caller=True), strict=True
        )
        assert list(squares) == [number**2 for number in numbers]
        assert os.getpid() in processes
        assert len(set(processes)) == 1 + actors
        with pytest.raises(ArithmeticError, match="-3 is negative"):
            list(pool.results(square_and_process, [1, 2, -3, -4], use_caller=True))


def test_a_process_that_works_itself_hands_out_whatever_was_finished_meanwhile(ray_cluster):
    driver = os.getpid()

    def slow_here(number):
        time.sleep(0.2 * (os.getpid() == driver))
        return os.getpid()

    with start_pool(2) as pool:
        list(pool.results(slow_here, range(8)))  # both have started
        done_here = list(pool.results(slow_here, range(40), use_caller=True)).count(driver)
    assert done_here <= 10  # four for every one of its own; two, if it collected one at a time


def test_results_come_in_order_and_no_actor_waits_for_a_slow_one(on_ray):
    def sleep(item):
        time.sleep(2 if item == 0 else 0.02)
        return item, os.getpid()

    with start_pool(2) as pool:
        results = list(replace(on_ray, pool=pool).map(sleep, range(12), label="uneven"))
    assert [item for item, _ in results] == list(range(12))
    of_slow = [item for item, process in results if process == results[0][1]]
    assert len(of_slow) <= 3  # those it was handed in advance


def test_as_many_items_as_actors_are_one_each(on_ray):
    def sleep(item):
        time.sleep(1)
        return os.getpid()

    with start_pool(3) as pool:
        list(pool.results(sleep, range(6)))
        assert len(set(pool.results(sleep, range(3)))) == 3


def test_the_first_items_error_arrives_as_it_was_raised(on_ray):
    def refuse(item):
        time.sleep(2 - item)
        raise InputError(f"item {item} is no good")

    with start_pool(2) as pool, pytest.raises(InputError, match=r"^item 1 is no good$"):
        list(replace(on_ray, pool=pool).map(refuse, [1, 2], label="refusing"))
