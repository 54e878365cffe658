"""Every stage of MeDS on INP-Former (Table 5).   make sweep-ablation_inp_former

The study repeats the study `ablation` with INP-Former in place of Dinomaly. INP-Former has one loss in all stages, so
there is one baseline. Expect memory < distilled < MeDS under noise, and the network alone below all three.
"""

from __future__ import annotations

from dataclasses import replace

from harness.detectors.presets import NetworkPreset
from harness.experiment import Experiment
from harness.networks import NetworkSettings
from harness.networks.dinomaly import Dinomaly
from harness.networks.inp_former import InpFormer
from sweeps.ablation import stages
from sweeps.profiles.contract import Profile


def experiments(profile: Profile) -> list[Experiment]:
    """Return all experiments of the study."""
    return stages(profile, _pair(profile))


def _pair(profile: Profile) -> NetworkPreset:
    """Return the profile's INP-Former, or one with the size and the training length of the profile's Dinomaly."""
    for pair in profile.others:
        if isinstance(pair.meds.network, InpFormer):
            return pair
    plain, meds = profile.plain, profile.meds
    return NetworkPreset(
        plain=replace(plain, network=_alike(plain.network)),
        meds=replace(meds, network=_alike(meds.network)),
        encoder=profile.encoder,
    )


def _alike(network: NetworkSettings) -> InpFormer:
    assert isinstance(network, Dinomaly)
    return InpFormer(
        width=network.width, depth=network.depth, heads=network.heads, distance=network.distance
    )
