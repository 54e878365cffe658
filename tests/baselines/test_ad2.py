"""AD2: which elements and which image count less, and that without its modules it is EfficientAD, bit for bit."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.ad2 import AD2, NoiseAwareLoss
from baselines.efficient_ad import EfficientAD
from baselines.student_teacher.losses import (
    common_discrepancy,
    consistency,
    hardest,
    outlier,
    without_outlier,
)
from harness.errors import InputError
from harness.features import ImageSet
from harness.runtime.checkpoints import Checkpoints
from harness.runtime.compute import InProcess

STUDENT = EfficientAD(teacher="random", image_size=64, width=16, steps=3, batch_size=4)
OFF = AD2(student=STUDENT, nmfe=False, atdr=False)


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_published_settings():
    settings = AD2()
    assert (settings.student.steps, settings.student.batch_size) == (10_000, 8)
    assert (settings.student.learning_rate, settings.student.weight_decay) == (1e-4, 1e-5)
    assert (settings.large, settings.large_weight, settings.outlier_weight) == (0.999, 0.1, 0.1)


def test_the_elements_that_vary_most_count_less():
    """1,000 elements, of which 0..999 vary by their number: above the 0.998-quantile (997.002) are the last two."""
    squared = torch.stack([torch.zeros(10, 10, 10), 2 * torch.arange(1000.0).view(10, 10, 10)])
    weights = consistency(squared, quantile=0.998, weight=0.1).flatten()
    assert (weights != 1).nonzero().flatten().tolist() == [998, 999]
    assert weights[998:].tolist() == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("count", [1, 4])
def test_nothing_counts_less_where_all_agree(count):
    same = rand(1, 3, 4, 4).expand(count, 3, 4, 4)
    assert consistency(same, quantile=0.999, weight=0.1).eq(1).all()


def test_the_common_discrepancy_by_hand():
    """Means 2, 4, 6, 8, 3; the last varies most and counts 0.3; the upper half of 0.3, 2, 4, 6, 8 is from 4 on."""
    squared = torch.tensor([[1.0, 3.0, 5.0, 7.0, 0.0], [3.0, 5.0, 7.0, 9.0, 6.0]])
    loss = common_discrepancy(squared, large=0.9, weight=0.1, hard=0.5)
    assert float(loss) == pytest.approx(6)
    loss = common_discrepancy(squared, large=0.9, weight=0.1, hard=0.0)
    assert float(loss) == pytest.approx((2 + 4 + 6 + 8 + 0.3) / 5)


def test_all_images_have_the_same_share_in_the_common_discrepancy():
    squared = rand(4, 6, 5, 5).requires_grad_()
    common_discrepancy(squared, large=0.9, weight=0.1, hard=0.9).backward()
    assert squared.grad.abs().sum() > 0
    for gradient in squared.grad[1:]:
        assert torch.equal(gradient, squared.grad[0])


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("odd", [0, 3, 7])
def test_the_one_image_that_differs_is_the_outlier(distance, odd):
    features = rand(1, 50).repeat(8, 1)
    features[odd, :20] += 1
    assert outlier(features, distance) == odd


def test_only_the_direction_counts_for_the_cosine():
    features = torch.tensor([[1.0, 0.0], [9.0, 0.1], [1.0, 0.1], [0.8, 0.5]])
    assert outlier(features, "euclidean") == 1
    assert outlier(features, "cosine") == 3


def test_the_outlier_counts_a_tenth():
    """Hardest halves: of the others 2, 3, 4 and 5 from 3.5 on, of the outlier's 10 and 20 the latter."""
    squared = torch.tensor([[2.0, 3.0], [10.0, 20.0], [4.0, 5.0]])
    loss = without_outlier(squared, 1, weight=0.1, hard=0.5)
    assert float(loss) == pytest.approx((4 + 5) / 2 + 0.1 * 20)
    squared.requires_grad_()
    without_outlier(squared, 1, weight=0.1, hard=0.0).backward()
    torch.testing.assert_close(
        squared.grad, torch.tensor([[0.25, 0.25], [0.05, 0.05], [0.25, 0.25]])
    )
    assert without_outlier(squared, None, weight=0.1, hard=0.5) == hardest(squared, 0.5)


@pytest.mark.parametrize("settings", [AD2(), AD2(pooled=True), AD2(distance="cosine")])
def test_the_order_of_a_batch_does_not_matter(settings):
    squared, said, order = rand(5, 6, 5, 5), rand(5, 6, 5, 5, seed=1), torch.tensor([3, 0, 4, 2, 1])
    objective = NoiseAwareLoss(settings)
    loss, other = objective.loss(squared, said), objective.loss(squared[order], said[order])
    torch.testing.assert_close(loss, other)
    assert order[objective.outlier(said[order])] == objective.outlier(said)


def test_losses_of_both_modules_are_added():
    squared, said = rand(5, 6, 5, 5), rand(5, 6, 5, 5, seed=1)
    both, nmfe, atdr = (
        NoiseAwareLoss(settings).loss(squared, said)
        for settings in (AD2(), AD2(atdr=False), AD2(nmfe=False))
    )
    torch.testing.assert_close(both, nmfe + atdr)
    torch.testing.assert_close(
        nmfe, common_discrepancy(squared, large=0.999, weight=0.1, hard=0.999)
    )
    odd = outlier(said.flatten(1))
    torch.testing.assert_close(atdr, without_outlier(squared, odd, weight=0.1, hard=0.999))
    assert NoiseAwareLoss(OFF).loss(squared, said) == hardest(squared, 0.999)


def test_means_over_places_do_not_see_a_shift():
    said = rand(1, 6, 5, 5).repeat(4, 1, 1, 1)
    said[1] = said[1].roll(2, dims=1)  # the same elsewhere
    said[2] += 0.01
    assert NoiseAwareLoss(AD2()).outlier(said) == 1
    assert NoiseAwareLoss(AD2(pooled=True)).outlier(said) == 2


def test_images_count_the_same_for_the_autoencoder_unless_asked():
    said = rand(1, 6, 5, 5).repeat(4, 1, 1, 1)
    said[2] += 1
    assert NoiseAwareLoss(AD2()).image_weights(said) is None
    assert NoiseAwareLoss(AD2(scope="all", atdr=False)).image_weights(said) is None
    weights = NoiseAwareLoss(AD2(scope="all")).image_weights(said)
    assert weights.tolist() == pytest.approx([1, 1, 0.1, 1])
    assert NoiseAwareLoss(AD2(scope="all", outlier_weight=1.0)).image_weights(said).eq(1).all()
    assert NoiseAwareLoss(AD2(scope="all")).image_weights(said[:2]).eq(1).all()


def first(images, count):
    category = images.categories[0]
    return ImageSet((replace(category, rows_N=category.rows_N[:count]),))


def state_of(detector, images, **compute):
    return detector.fit(images, seed=1, compute=InProcess(**compute)).history["training 0"].state


@pytest.mark.parametrize("batch_size", [1, 4])
def test_without_both_modules_it_is_efficient_ad(small, batch_size):
    images, student = first(small.train_images, 6), replace(STUDENT, batch_size=batch_size)
    plain = pickle.dumps(state_of(student, images))
    assert plain == pickle.dumps(state_of(replace(OFF, student=student), images))


def test_either_module_alone_changes_training(small):
    images = first(small.train_images, 6)
    variants = [
        OFF,
        replace(OFF, nmfe=True),
        replace(OFF, atdr=True),
        replace(OFF, atdr=True, scope="all"),
        replace(OFF, nmfe=True, atdr=True),
    ]
    states = [state_of(settings, images) for settings in variants]
    assert len({pickle.dumps(state) for state in states}) == 5
    assert all(np.isfinite(value).all() for state in states for value in state.values())


def test_training_goes_on_from_a_checkpoint_to_the_same_weights(small, tmp_path):
    images, settings = first(small.train_images, 6), AD2(student=STUDENT)

    def stop(phase, step, count, loss):
        if step == 2:
            raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path, every=1)
    with pytest.raises(KeyboardInterrupt):
        state_of(settings, images, report=stop, checkpoints=checkpoints)
    resumed = state_of(settings, images, checkpoints=checkpoints)
    assert pickle.dumps(resumed) == pickle.dumps(state_of(settings, images))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(InputError, match="large must lie in"):
        AD2(large=1.5)
    with pytest.raises(InputError, match="must not be negative"):
        AD2(outlier_weight=-0.1)
