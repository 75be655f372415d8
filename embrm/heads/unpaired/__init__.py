"""Heads for labels, rankings and games instead of pairs of vectors."""

from embrm.heads.unpaired.item_bradley_terry import ItemBradleyTerry
from embrm.heads.unpaired.kto import KTOReward
from embrm.heads.unpaired.plackett_luce import PlackettLuce

__all__ = ["ItemBradleyTerry", "KTOReward", "PlackettLuce"]
