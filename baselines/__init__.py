"""Methods that MeDS is compared with, with the contract of `harness.detectors`: one file each, and what they share."""
