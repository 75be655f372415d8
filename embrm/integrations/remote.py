"""RemoteRewardModel: a reward server, with the methods of RewardModel."""

import json
import random
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from embrm._optional import import_optional
from embrm._typing import FloatArray, Text
from embrm.exceptions import (
    DataError,
    EmbrmError,
    InvalidInputError,
    invalid_input,
)
from embrm.model.items import RanksItems, RowItems

_PASSING = (408, 429, 502, 503, 504)
_BATCH_CHARACTERS = 2_000_000
_LONGEST_WAIT = 30.0


class RemoteRewardModel(RanksItems):
    """A model that `embrm serve` serves elsewhere.

    It holds no connection when it is pickled, and may be used by several threads.

    Parameters
    ----------
    url : str
        Of the server, e.g. "http://localhost:8080".
    api_key : str, optional
        Bearer token, where the server needs one.
    columns : mapping of str to str, optional
        Names of your columns by embrm's, as in `RewardModel`.
    prompt_template : str, optional
        Writes the prompt from several columns, as in `RewardModel`.
    timeout : float, default=300
        Seconds for one call in all, tries and waits included.
    tries : int, default=5
        Of each request; what may pass (no connection, 408, 429, 502, 503, 504) is
        tried again, after as long as the server asks for.
    batch_items : int, default=256
        Items of a request.

    Examples
    --------
    >>> from embrm.integrations import RemoteRewardModel
    >>> model = RemoteRewardModel("http://localhost:8080")
    >>> model.rank(df)  # doctest: +SKIP
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        columns: Mapping[str, str] | None = None,
        prompt_template: str | None = None,
        timeout: float = 300.0,
        tries: int = 5,
        batch_items: int = 256,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise invalid_input(
                expected="a URL of a reward server",
                got=f"another text of {len(url)} characters",
                fix='write it as "http://localhost:8080"',
            )
        self.url = url.rstrip("/")
        self.columns, self.prompt_template = columns, prompt_template
        self.timeout, self.tries = timeout, tries
        self.batch_items = batch_items
        self._api_key = api_key
        self._client: Any = None

    def reward(self, data: Any) -> "pd.Series[Any] | pd.DataFrame":
        """Compute the reward of items, as `RewardModel.reward` does.

        Raises
        ------
        DataError
            If a text is missing or refused.
        EmbrmError
            If the server does not answer in time.
        """
        items = self._items(data)
        spread = items.spread(self._rewards(items), "reward")
        return spread["reward"] if items.is_one_a_row else spread

    def _rewards(self, items: RowItems) -> FloatArray:
        return np.array(self.rewards(items.texts)["reward"], dtype=np.float64)

    def rewards(self, texts: Sequence[Text]) -> dict[str, list[float]]:
        """Compute rewards of texts: "reward", and the server's components by name."""
        until = time.monotonic() + self.timeout
        named: dict[str, list[float]] = {"reward": []}
        for batch in self._batches(texts):
            items = [{"prompt": prompt, "response": text} for prompt, text in batch]
            for row in self._post("/v1/rewards", {"items": items}, until)["data"]:
                named["reward"].append(float(row["reward"]))
                for name, value in row.get("components", {}).items():
                    if name != "reward":
                        named.setdefault(name, []).append(float(value))
        return named

    def close(self) -> None:
        """Close the connections; they are opened again on demand."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _batches(self, texts: Sequence[Text]) -> Iterator[list[Text]]:
        """Cut texts into requests that the server's bounds admit."""
        batch: list[Text] = []
        size = 0
        for text in texts:
            n = len(text[1]) + len(str(text[0]))
            if batch and (
                len(batch) == self.batch_items or size + n > _BATCH_CHARACTERS
            ):
                yield batch
                batch, size = [], 0
            batch.append(text)
            size += n
        if batch:
            yield batch

    def _post(self, path: str, body: Mapping[str, Any], until: float) -> Any:
        """Post until it is answered, tries are used up, or time is."""
        httpx = import_optional("httpx2", extra="http")
        client, content = self._connected(httpx), json.dumps(body)
        failure = "no time left"
        for attempt in range(self.tries):
            left = until - time.monotonic()
            if left <= 0:
                break
            asked = ""
            try:
                response = client.post(self.url + path, content=content, timeout=left)
            except httpx.TransportError as error:
                failure = type(error).__name__
            else:
                if response.status_code == 200:
                    return response.json()
                failure = f"status {response.status_code}"
                asked = response.headers.get("retry-after", "")
                if response.status_code not in _PASSING:
                    raise _refused(response)
            wait = _wait_seconds(attempt, asked)
            if attempt + 1 == self.tries or time.monotonic() + wait > until:
                break
            time.sleep(wait)
        raise EmbrmError.of(
            expected=f"an answer of the reward server within {self.timeout:g} s "
            f"and {self.tries} tries",
            got=failure,
            fix="check that `embrm serve` runs at this URL, or raise timeout",
        )

    def _connected(self, httpx: Any) -> Any:
        if self._client is None:
            kind = {"content-type": "application/json"}
            if self._api_key is not None:
                kind["authorization"] = f"Bearer {self._api_key}"
            self._client = httpx.Client(headers=kind)
            # Connections are closed with the model, also where no one says so.
            weakref.finalize(self, self._client.close)
        return self._client

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    def __repr__(self) -> str:
        return f"RemoteRewardModel({self.url!r})"


def _wait_seconds(attempt: int, asked: str) -> float:
    """Choose how long to wait: what the server asks for, else ever longer."""
    jitter = random.random()  # noqa: S311
    if asked.isdecimal():
        return min(_LONGEST_WAIT, float(asked)) + jitter / 4
    return float(min(_LONGEST_WAIT, 0.2 * 2**attempt) * (0.5 + jitter))


def _refused(response: Any) -> EmbrmError:
    """Make the error of an answer that will not change."""
    try:
        words = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        words = f"status {response.status_code}"
    words = "".join(c if c.isprintable() else "?" for c in words[:300])
    if response.status_code in (413, 422):
        return DataError(f"the reward server refused a text: {words}")
    return InvalidInputError(f"the reward server refused the request: {words}")
