"""Labelling page: a queue of pairs for people to judge, in the browser.

`embrm label` runs it; `journal` keeps every judgement on disk, `queue` decides who sees
which pair, `exchange` speaks to other labelling tools.
"""

from embrm.label.journal import Journal
from embrm.label.queue import LabelQueue, QueueSettings
from embrm.label.tasks import Texts

__all__ = ["Journal", "LabelQueue", "QueueSettings", "Texts"]
