"""Components that were moved or renamed; stored runs and keys contain the first name of each class."""

MOVED = {
    "baselines.fun_ad.FunAD": "baselines.fun_ad.detector.FunAD",
    "harness.detectors.MemoryDetector": "harness.detectors.memory_detector.MemoryDetector",
    "harness.detectors.contract.MemoryDetector": "harness.detectors.memory_detector.MemoryDetector",
    "harness.detectors.contract.ReconstructionDetector": "harness.detectors.reconstruction.ReconstructionDetector",
    "harness.detectors.PlainNetwork": "harness.detectors.reconstruction.ReconstructionDetector",
    "harness.encoders.Encoder": "harness.features.encoder.Encoder",
    "harness.evaluation.Evaluation": "harness.evaluation.readouts.Evaluation",
    "harness.experiment.runner.Experiment": "harness.experiment.spec.Experiment",
    "harness.experiment.Experiment": "harness.experiment.spec.Experiment",
    "harness.maps.MapRule": "harness.anomaly_maps.MapSettings",
    "harness.meds.MeDS": "harness.detectors.meds.MeDS",
    "harness.memory.MemoryEnsemble": "harness.memory.ensemble.MemoryEnsemble",
    "harness.named_file.NamedFile": "harness.config.file_ref.FileRef",
    "harness.noise.Noise": "harness.noise.contamination.Noise",
    "harness.optimizer.Training": "harness.training.optimizer.TrainingConfig",
    "harness.patch_features.LocallyAware": "harness.features.patch_features.LocallyAware",
    "harness.patch_features.WithClass": "harness.features.patch_features.WithClassToken",
    "harness.phases.ProgressiveSelection": "harness.training.phases.ProgressiveSelection",
    "harness.teachers.Teacher": "harness.features.teacher.Teacher",
}
"""Path of a class in a stored experiment, and its path in this version."""

RECORDED_NAMES = {
    "AllImages": "Everything",
    "FileRef": "NamedFile",
    "MapSettings": "MapRule",
    "MeanScoreLoss": "LiteralLoss",
    "NetworkLoss": "NativeLoss",
    "ReconstructionDetector": "PlainNetwork",
    "TrainingConfig": "Training",
    "WithClassToken": "WithClass",
}
"""Name of a class in this version, and its name in keys and in the parameters of tracked runs."""


def recorded_name(kind: type) -> str:
    """Return the name of a class in keys and tracked parameters; it stays the same when the class is renamed.

    >>> from harness.config.file_ref import FileRef
    >>> recorded_name(FileRef)
    'NamedFile'
    """
    return RECORDED_NAMES.get(kind.__qualname__, kind.__qualname__)
