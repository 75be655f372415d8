"""Boosted Bradley-Terry: trees grown on the pairwise loss itself."""

from embrm.heads.boosted.binned_items import BinnedItems, bin_items
from embrm.heads.boosted.bradley_terry import BoostedBradleyTerry

__all__ = ["BinnedItems", "BoostedBradleyTerry", "bin_items"]
