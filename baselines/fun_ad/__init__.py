"""FUN-AD: pseudo-labels and a small classifier of patches."""

from baselines.fun_ad.detector import FunAD

__all__ = ["FunAD"]
