"""Scripts that measured every figure we state; `paper` is a package of its own."""
