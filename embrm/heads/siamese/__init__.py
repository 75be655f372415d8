"""Siamese Bradley-Terry: a network on top of the linear head."""

from embrm.heads.siamese.bradley_terry import SiameseBradleyTerry

__all__ = ["SiameseBradleyTerry"]
