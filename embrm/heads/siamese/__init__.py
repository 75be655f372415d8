"""Siamese Bradley-Terry: a network added to the linear head."""

from embrm.heads.siamese.bradley_terry import SiameseBradleyTerry

__all__ = ["SiameseBradleyTerry"]
