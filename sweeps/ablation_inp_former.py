"""Every stage of MeDS on INP-Former (Table 5).   make sweep-ablation_inp_former

What the study `ablation` does with Dinomaly. INP-Former has one loss in all stages, so there is one baseline. Expect
memory < distilled < MeDS under noise, and the network alone below them.
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
    """All cells of the study."""
    return stages(profile, _pair(profile))


def _pair(profile: Profile) -> NetworkPreset:
    """The profile's INP-Former; where it has none, one as large and trained as long as its Dinomaly."""
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
