"""Components that have moved: stored experiments name classes by the path that these had when the run was stored."""

MOVED = {
    "baselines.fun_ad.FunAD": "baselines.fun_ad.detector.FunAD",
    "harness.detectors.MemoryDetector": "harness.detectors.contract.MemoryDetector",
    "harness.detectors.PlainNetwork": "harness.detectors.contract.PlainNetwork",
    "harness.encoders.Encoder": "harness.features.encoder.Encoder",
    "harness.evaluation.Evaluation": "harness.evaluation.readouts.Evaluation",
    "harness.experiment.Experiment": "harness.experiment.runner.Experiment",
    "harness.maps.MapRule": "harness.anomaly_maps.MapRule",
    "harness.meds.MeDS": "harness.detectors.meds.MeDS",
    "harness.memory.MemoryEnsemble": "harness.memory.ensemble.MemoryEnsemble",
    "harness.named_file.NamedFile": "harness.config.file_ref.NamedFile",
    "harness.noise.Noise": "harness.noise.contamination.Noise",
    "harness.optimizer.Training": "harness.training.optimizer.Training",
    "harness.patch_features.LocallyAware": "harness.features.patch_features.LocallyAware",
    "harness.patch_features.WithClass": "harness.features.patch_features.WithClass",
    "harness.phases.ProgressiveSelection": "harness.training.phases.ProgressiveSelection",
    "harness.teachers.Teacher": "harness.features.teacher.Teacher",
}
"""Path of a class in a stored experiment, and its path in this version."""
