"""Public contract checks: what every reward head has to satisfy."""

from embrm.testing.head_checks import check_head, head_checks

__all__ = ["check_head", "head_checks"]
