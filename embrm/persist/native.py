"""Native model files of boosted trees: told apart by their first bytes, checked."""

from embrm.persist import lightgbm_text, xgboost_ubjson
from embrm.persist.tree_shape import damaged


def check_native(blob: bytes) -> None:
    """Check that bytes are a model that its library can parse and walk safely.

    Parameters
    ----------
    blob : bytes
        LightGBM text or XGBoost UBJSON.

    Raises
    ------
    IntegrityError
        If they are neither, or not laid out as the library lays them out.

    Examples
    --------
    >>> from embrm.exceptions import IntegrityError
    >>> try:
    ...     check_native(b"tree")
    ... except IntegrityError as error:
    ...     print(error)
    expected a native model file with LightGBM text or XGBoost UBJSON; got 4 other bytes. To mend: copy the bundle again, or fit again.
    """  # noqa: E501
    if blob.startswith(lightgbm_text.MAGIC):
        lightgbm_text.check_lightgbm_text(blob)
    elif blob.startswith(xgboost_ubjson.MAGIC):
        xgboost_ubjson.check_xgboost_ubjson(blob)
    else:
        got = f"{len(blob)} other bytes"
        raise damaged("LightGBM text or XGBoost UBJSON", got)
