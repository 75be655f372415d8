"""Make the golden bundles: tiny models that every later version must load.

Run it once for each version of the bundle format, when that version is released:

    python tests/persist/golden/make_golden.py

Never run it to make a failing test pass: the point of these files is that they stay.
"""

import json
from pathlib import Path

import pandas as pd

from embrm import RewardModel, load_model, save_model
from embrm.heads import make_head
from embrm.persist.files import VERSION

HERE = Path(__file__).resolve().parent
HEADS = {
    "linear": {},
    "siamese": {"hidden_sizes": (4,), "linear_start": False, "random_state": 0},
    "logistic": {"random_state": 0},
    "lightgbm": {"n_estimators": 4, "min_child_samples": 2, "random_state": 0},
}
ITEMS = [
    ["What is 2 plus 2?", "It is 4, correct."],
    ["What is 2 plus 2?", "It is 5, wrong."],
    ["水果有哪些?", "苹果和梨。"],
    [[{"role": "user", "content": "Hi"}], "Hello! How can I help?"],
    [
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "Why?"},
        ],
        "Because.",
    ],
]


def training_frame() -> pd.DataFrame:
    """Twenty-four preferences over twelve prompts."""
    rows = [
        {
            "prompt": f"What is {n} plus {n}?",
            "chosen": f"{word} {2 * n}, correct.",
            "rejected": f"{word} {2 * n + 1}, wrong.",
        }
        for n in range(1, 13)
        for word in ("It is", "The sum is")
    ]
    return pd.DataFrame(rows)


def main() -> None:
    """Fit, save, load again, and write down the rewards."""
    items = pd.DataFrame(ITEMS, columns=["prompt", "response"])
    metrics = {
        "held_out": {
            "folds": 2,
            "order_consistency": {"estimate": 0.75, "low": 0.5, "high": 1.0},
        }
    }
    rewards = {}
    for word, params in HEADS.items():
        model = RewardModel("hashing:16", make_head(word, **params))
        model.fit(training_frame())
        directory = HERE / f"v{VERSION}-{word}"
        loaded = load_model(save_model(model, directory, metrics=metrics))
        rewards[directory.name] = loaded.reward(items).tolist()
    expected = {"items": ITEMS, "rewards": rewards}
    text = json.dumps(expected, ensure_ascii=False, indent=1)
    (HERE / f"v{VERSION}-expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
