"""The published recipes for reward models on embeddings, written from descriptions.

Siamese and classification networks: D-1024-512-1 with ReLU, Adam 1e-3, binary
cross-entropy on probabilities, at most 30 epochs. Every pair is mirrored, and 20% of
the rows are held out at random after that. A batch has min(10,240, 1.6 n) rows, drawn
afresh for each step, so that with up to 6,400 pairs it is all of them. The run stops
when the last held-out loss exceeds all of the three before, and the last weights count.
The published code fits ten members and scores one of them: so does this, and one is
fitted, since the nine others cost time and change nothing. LightGBM and XGBoost are no
published recipe: classifiers at library defaults on win/lose rows. Nothing here is
improved on purpose, nor slowed down.
"""

from collections.abc import Callable

import numpy as np

MAX_EPOCHS, PATIENCE, BATCH, LEARNING_RATE, HELD_OUT = 30, 3, 10_240, 1e-3, 0.2
BATCH_SHARE = 1.6
"""Of the number of pairs: a batch is no larger than the training rows."""

Reward = Callable[[np.ndarray], np.ndarray]


def siamese_mlp(items, ids, y, seed) -> Reward:
    """P(first preferred) = sigmoid(f(first) - f(second)), on mirrored pairs."""
    import torch

    network = _network(items.shape[1], seed)
    first = torch.from_numpy(np.concatenate([ids[:, 0], ids[:, 1]]))
    second = torch.from_numpy(np.concatenate([ids[:, 1], ids[:, 0]]))
    label = torch.from_numpy(np.concatenate([y, 1 - y]).astype(np.float32))
    matrix = torch.from_numpy(items)

    def probability(rows):
        delta = network(matrix[first[rows]]) - network(matrix[second[rows]])
        return torch.sigmoid(delta)[:, 0]

    _train(network, probability, label, batch_of(len(ids)), seed)
    return _scorer(network)


def classification_mlp(items, ids, y, seed) -> Reward:
    """P(win) = sigmoid(f(item)), opponents ignored; the reward is its logit."""
    import torch

    network = _network(items.shape[1], seed)
    rows_of, won = win_lose_rows(ids, y)
    matrix, row = torch.from_numpy(items), torch.from_numpy(rows_of)
    label = torch.from_numpy(won.astype(np.float32))

    def probability(rows):
        return torch.sigmoid(network(matrix[row[rows]]))[:, 0]

    _train(network, probability, label, batch_of(len(ids)), seed)
    return _scorer(network)


def lightgbm_classifier(items, ids, y, seed) -> Reward:
    from lightgbm import LGBMClassifier

    rows, won = win_lose_rows(ids, y)
    model = LGBMClassifier(random_state=seed, verbosity=-1).fit(items[rows], won)
    return lambda x: np.asarray(model.booster_.predict(x, raw_score=True))


def xgboost_classifier(items, ids, y, seed) -> Reward:
    from xgboost import XGBClassifier

    rows, won = win_lose_rows(ids, y)
    model = XGBClassifier(random_state=seed).fit(items[rows], won)
    return lambda x: np.asarray(model.predict(x, output_margin=True))


RECIPES = {
    "reference siamese": siamese_mlp,
    "reference classification mlp": classification_mlp,
    "reference lightgbm": lightgbm_classifier,
    "reference xgboost": xgboost_classifier,
}


def batch_of(n_pairs: int) -> int:
    """Rows of a batch."""
    return int(min(BATCH, BATCH_SHARE * n_pairs))


def win_lose_rows(ids, y):
    """Two rows for each pair: its winner with 1, its loser with 0."""
    winner = np.where(y > 0.5, ids[:, 0], ids[:, 1])
    loser = np.where(y > 0.5, ids[:, 1], ids[:, 0])
    return np.concatenate([winner, loser]), np.repeat([1, 0], len(ids))


def _network(n_features, seed):
    import torch

    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(n_features, 1024),
        torch.nn.ReLU(),
        torch.nn.Linear(1024, 512),
        torch.nn.ReLU(),
        torch.nn.Linear(512, 1),
    )


def _train(network, probability, label, batch_size, seed):
    import torch

    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(label), generator=generator)
    n_held_out = int(HELD_OUT * len(label))
    held_out, train = order[:n_held_out], order[n_held_out:]
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    cross_entropy = torch.nn.BCELoss()
    past: list[float] = []
    n_steps = max(1, len(train) // batch_size)
    for _ in range(MAX_EPOCHS):
        for _ in range(n_steps):
            rows = train[torch.randperm(len(train), generator=generator)[:batch_size]]
            optimiser.zero_grad()
            cross_entropy(probability(rows), label[rows]).backward()
            optimiser.step()
        with torch.no_grad():
            losses = [
                float(cross_entropy(probability(rows), label[rows])) * len(rows)
                for rows in held_out.split(batch_size)
            ]
        loss = sum(losses) / n_held_out
        if len(past) >= PATIENCE and loss > max(past[-PATIENCE:]):
            break
        past.append(loss)


def _scorer(network) -> Reward:
    import torch

    def reward(x):
        with torch.no_grad():
            parts = [network(p)[:, 0] for p in torch.from_numpy(x).split(10_000)]
        return torch.cat(parts).numpy().astype(np.float64)

    return reward
