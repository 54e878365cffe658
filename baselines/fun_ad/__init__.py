"""FUN-AD: a small patch classifier that is trained on its own pseudo-labels."""

from baselines.fun_ad.detector import FunAD

__all__ = ["FunAD"]
