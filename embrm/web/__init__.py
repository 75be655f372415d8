"""What every HTTP service of embrm shares: bounds, host checks, tokens, running."""

from embrm.web.bounds import Bounds

__all__ = ["Bounds"]
