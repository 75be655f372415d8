"""Linear Bradley-Terry: convex fit, choice of the penalty, posterior."""

from embrm.heads.linear.bradley_terry import LinearBradleyTerry

__all__ = ["LinearBradleyTerry"]
