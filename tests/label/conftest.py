"""Queues over a small pool of texts."""

import numpy as np
import pytest

from embrm import CandidatePool
from embrm.active import LabelLoop
from embrm.heads import LinearBradleyTerry
from embrm.label import LabelQueue, QueueSettings, Texts

PLAIN = QueueSettings(batch=4, overlap=0.0, attention=0.0)


def make_texts(n_prompts=6, k=4):
    return [
        (f"Prompt {p}", f"Answer {r} to {p}")
        for p in range(n_prompts)
        for r in range(k)
    ]


def build_queue(out, settings=PLAIN, clock=None, texts=None, **options):
    texts = make_texts() if texts is None else texts
    rng = np.random.default_rng(0)
    prompts = np.unique([prompt for prompt, _ in texts], return_inverse=True)[1]
    pool = CandidatePool(rng.normal(size=(len(texts), 3)), prompts, texts=texts)
    head = LinearBradleyTerry(alpha=1.0)
    loop = LabelLoop(pool, head=head, random_state=0, **options)
    extra = {} if clock is None else {"clock": clock}
    return LabelQueue(loop, Texts(texts), out, settings, **extra)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "labels.jsonl"


@pytest.fixture
def make_queue():
    """Build queues, and close them in the end."""
    made = []

    def make(*parts, **options):
        made.append(build_queue(*parts, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()
