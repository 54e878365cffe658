"""Dataset, encoder and length by options: each exchanges its own part, and what ran has a name."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets.folder import Folder
from harness.datasets.mvtec_ad import MVTecAD
from harness.detectors.presets import DINOV2
from harness.errors import UsageError
from harness.features.encoder import Encoder
from harness.tracking.study_members import StudyScope
from sweeps.baselines import experiments as baselines_study
from sweeps.launch.options import Options
from sweeps.launch.profile_options import ProfileOptions
from sweeps.launch.study_filter import StudyFilter
from sweeps.mvtec_ad import experiments as main_study
from sweeps.profiles import PROFILES
from sweeps.profiles.local import LAPTOP, MTD, SMOKE
from sweeps.profiles.paper import MVTEC_AD
from sweeps.rho import experiments as rho_study
from tests.support.commands import command

CHOSEN = ("--profile", "mtd", "--dataset", "mvtec_ad", "--category", "bottle", "pill")


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_without_options_a_profile_is_as_it_was(profile):
    assert ProfileOptions().apply(profile) == profile
    assert ProfileOptions().variant == ""
    own = ProfileOptions(dataset=profile.dataset.name, encoder=profile.encoder.name)
    assert own.apply(profile) == profile


def test_mvtec_ad_runs_with_the_shipped_encoder_and_the_lengths_of_the_tiles():
    profile = ProfileOptions(dataset="mvtec_ad").apply(MTD)
    assert profile == replace(MTD, dataset=MVTecAD(), several_categories=True)
    pair = StudyFilter(category=("bottle", "pill")).restrict(profile)
    assert pair.several_categories
    assert not StudyFilter(category=("pill",)).restrict(profile).several_categories
    cells = rho_study(pair)
    assert {cell.dataset for cell in cells} == {MVTecAD(categories=("bottle", "pill"))}
    assert {cell.encoder for cell in cells} == {Encoder()}


def test_only_a_drawn_dataset_needs_no_folder():
    assert not ProfileOptions(dataset="folder").apply(LAPTOP).generated
    assert ProfileOptions(dataset="folder").apply(LAPTOP).dataset == Folder()
    assert not ProfileOptions(dataset="folder").apply(LAPTOP).several_categories
    assert ProfileOptions(dataset="textures").apply(MTD).generated


def test_an_encoder_takes_the_place_of_the_profiles_own_and_of_no_other():
    profile = ProfileOptions(encoder="shipped").apply(MVTEC_AD)
    assert profile.encoder == Encoder()
    assert [pair.encoder for pair in profile.others] == [Encoder(), MVTEC_AD.others[1].encoder]
    assert profile.released == MVTEC_AD.released
    assert ProfileOptions(encoder="shipped").apply(SMOKE) == SMOKE  # at its own image size
    large = ProfileOptions(encoder=DINOV2.name).apply(MTD)
    assert large.encoder == large.systems[0].encoder == DINOV2
    of_pixels = [system for system in MTD.systems if system.encoder.pixels]
    assert [system for system in large.systems if system.encoder.pixels] == of_pixels
    assert len(of_pixels) == 2


@pytest.mark.parametrize(
    ("name", "groups", "size"),
    [
        ("vit_small_patch16_224", ((2, 3, 4, 5), (6, 7, 8, 9)), 256),
        ("vit_small_patch14_dinov2", ((2, 3, 4, 5), (6, 7, 8, 9)), 252),
        ("resnet18", ((2,), (3,)), 256),
    ],
)
def test_any_model_of_timm_is_an_encoder(name, groups, size):
    encoder = ProfileOptions(encoder=name).apply(MTD).encoder
    assert encoder == Encoder(name=name, weights="hub", image_size=size, groups=groups)


@given(steps=st.integers(2, 10**6), profile=st.sampled_from([LAPTOP, SMOKE, MTD, MVTEC_AD]))
def test_steps_are_split_as_the_profile_splits_them(steps, profile):
    changed = ProfileOptions(steps=steps).apply(profile)
    pairs = [(profile, changed), *zip(profile.others, changed.others, strict=True)]
    for before, after in pairs:
        old = before.meds.distillation.steps, before.meds.finetuning.steps
        new = after.meds.distillation.steps, after.meds.finetuning.steps
        assert sum(new) == steps
        assert min(new) >= 1
        share = steps / sum(old)
        assert new[0] == pytest.approx(share * old[0], abs=1)
        assert after.plain.training.steps == pytest.approx(
            share * before.plain.training.steps, abs=1
        )
    assert replace(changed, plain=profile.plain, meds=profile.meds, others=profile.others) == (
        profile
    )


def test_a_result_has_the_name_of_what_ran():
    options = Options(
        study="rho",
        profile_options=ProfileOptions(dataset="mvtec_ad", encoder="shipped", steps=50),
        study_filter=StudyFilter(noise=(0.1,), protocol="softpatch"),
    )
    assert (
        options.scope.variant == "dataset mvtec_ad, encoder shipped, steps 50, protocol softpatch"
    )
    assert not options.scope.whole
    assert options.described("mtd") == "mtd, dataset mvtec_ad, encoder shipped, steps 50"


@pytest.mark.parametrize("profile", ["smoke", "mvtec_ad"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dataset": "mvtec"}, "mvtec_ad"),
        ({"encoder": "vit_small_patch16"}, "vit_small_patch16_224"),
        ({"steps": 1}, "at least 2"),
        ({"steps": -5}, "at least 2"),
    ],
)
def test_what_does_not_exist_is_a_usage_error_that_names_what_does(profile, wrong, said):
    with pytest.raises(UsageError, match=said):
        ProfileOptions(**wrong).apply(PROFILES[profile])


def test_the_real_command_names_the_exchanged_parts_and_misses_the_data_of_the_dataset():
    answer = command("sweeps", "rho", *CHOSEN)
    assert answer.returncode == 1
    assert "the folder of the dataset mvtec_ad" in " ".join(answer.stderr.split())
    answer = command("sweeps", "rho", "--dataset", "mvtec")
    assert answer.returncode == 2
    assert "There is no dataset 'mvtec'" in " ".join(answer.stderr.split())


@pytest.mark.parametrize("profile", [SMOKE, MVTEC_AD], ids=lambda profile: profile.name)
def test_an_added_method_runs_beside_the_baselines_and_changes_no_other_experiment(profile):
    options = ProfileOptions(add_method=("uniad",))
    more = options.apply(profile)
    assert [d.name for d in more.baselines] == [*(d.name for d in profile.baselines), "uniad"]
    for study in (baselines_study, main_study):
        before, after = ({e.key: e for e in study(each)} for each in (profile, more))
        added = [after[key] for key in after.keys() - before.keys()]
        assert before.keys() < after.keys()
        assert {e.detector.name for e in added} == {"uniad"}
        assert {e.encoder for e in added} == {profile.encoder}
    assert Options(study="baselines", profile_options=options).scope == StudyScope(whole=False)
    with pytest.raises(UsageError, match="no method 'nothing'"):
        ProfileOptions(add_method=("nothing",)).apply(profile)
