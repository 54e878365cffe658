"""Methods that MeDS is compared with, one file each, with the contract of `harness.detectors`."""
