"""MnasNet's controller: an LSTM that writes a network choice by choice, trained with PPO.

Tan et al. 2019 (arXiv:1807.11626, section 4.2): sample networks from the controller, train them,
let PPO (Schulman et al. 2017, arXiv:1707.06347) raise the expected reward. The paper does not
print its settings; NASNet's (Zoph et al. 2018, arXiv:1707.07012, appendix A) are one LSTM layer
of 100 units, learning rate 0.00035, entropy weight 0.00001, a moving-average baseline of 0.95,
for 20,000 networks. Deviations, because a search here has hundreds of trainings: 64 units, a
learning rate of 0.01, 4 epochs on each batch of 10 networks with the ratio clipped at 0.2,
entropy weight 0.01, advantages in units of the rewards' running spread. Under the aim ``front``
the soft reward is learned from.

The controller is rebuilt from the study: batches of trials in the order of their numbers, each
used once all of it has ended, starting from weights that the seed gives. What is kept between
trials only saves repeating that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial
from torch import Tensor, nn

from nas.candidates import Candidates, Floats
from nas.samplers.history import History
from nas.space import Batch

UNITS = 64
RATE = 0.01
BATCH = 10
EPOCHS = 4
CLIP = 0.2
ENTROPY = 0.01
MEMORY = 0.95  # of the moving averages of the reward and of its variance
SAMPLED = 16  # networks written at a time


class Policy(nn.Module):
    """p(choice d | choices before d): one LSTM, an embedding and a head for each choice."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, UNITS) for size in [1, *sizes[:-1]]
        )  # the first reads a start sign
        self.lstm = nn.LSTM(UNITS, UNITS, batch_first=True)
        self.heads = nn.ModuleList(nn.Linear(UNITS, size) for size in sizes)

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy, (N,) each, of rows (N, D)."""
        before = torch.cat([torch.zeros_like(rows[:, :1]), rows[:, :-1]], 1)
        inputs = [embed(before[:, d]) for d, embed in enumerate(self.embeddings)]
        hidden, _ = self.lstm(torch.stack(inputs, 1))
        chosen, entropy = [], []
        for d, head in enumerate(self.heads):
            log_p = head(hidden[:, d]).log_softmax(1)
            chosen.append(log_p.gather(1, rows[:, d : d + 1]).squeeze(1))
            entropy.append(-(log_p.exp() * log_p).sum(1))
        return torch.stack(chosen).sum(0), torch.stack(entropy).mean(0)

    @torch.no_grad()
    def write(self, count: int, rng: np.random.Generator) -> Batch:
        """``count`` rows drawn from the policy."""
        rows = np.zeros((count, len(self.heads)), dtype=np.int64)
        before, state = torch.zeros(count, dtype=torch.int64), None
        for d, (embed, head) in enumerate(zip(self.embeddings, self.heads, strict=True)):
            out, state = self.lstm(embed(before)[:, None], state)
            below = head(out[:, 0]).softmax(1).double().cumsum(1).numpy()
            drawn = (rng.random((count, 1)) > below).sum(1)
            rows[:, d] = np.minimum(drawn, below.shape[1] - 1)
            before = torch.from_numpy(rows[:, d])
        return rows


class Controller:
    def __init__(self, candidates: Candidates, seed: int) -> None:
        self._sizes, self._seed = [int(size) for size in candidates.space.sizes], seed
        self._restart()

    def propose(
        self, study: optuna.Study, trial: FrozenTrial, history: History, rng: np.random.Generator
    ) -> Iterator[Batch]:
        self._replay(history, trial.number)
        while True:
            yield from self._policy.write(SAMPLED, rng)

    def _restart(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self._policy = Policy(self._sizes)
        self._optimiser = torch.optim.Adam(self._policy.parameters(), lr=RATE)
        self._learned: list[bytes] = []
        self._baseline, self._variance = 0.0, 0.0

    def _replay(self, history: History, number: int) -> None:
        """Learn from every batch of trials before ``number`` up to the first that still runs."""
        batches = []
        for start in range(0, number - BATCH + 1, BATCH):
            member = (history.numbers >= start) & (history.numbers < start + BATCH)
            if history.running[member].any():
                break
            batches.append(np.flatnonzero(member & np.isfinite(history.reward)))
        facts = [history.rows[b].tobytes() + history.reward[b].tobytes() for b in batches]
        if self._learned != facts[: len(self._learned)]:
            self._restart()
        for batch, fact in list(zip(batches, facts, strict=True))[len(self._learned) :]:
            self._learned.append(fact)
            if len(batch):
                self._learn(history.rows[batch], history.reward[batch])

    def _learn(self, rows: Batch, rewards: Floats) -> None:
        """One batch of PPO."""
        advantage = torch.from_numpy(self._advantage(rewards)).float()
        batch = torch.from_numpy(rows)
        with torch.no_grad():
            old = self._policy(batch)[0]
        for _ in range(EPOCHS):
            log_p, entropy = self._policy(batch)
            ratio = (log_p - old).exp()
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            gain = torch.minimum(ratio * advantage, clipped * advantage) + ENTROPY * entropy
            self._optimiser.zero_grad()
            (-gain.mean()).backward()
            self._optimiser.step()

    def _advantage(self, rewards: Floats) -> Floats:
        if not self._variance:
            self._baseline, self._variance = float(rewards.mean()), float(rewards.var()) + 1e-12
        advantage: Floats = (rewards - self._baseline) / self._variance**0.5
        for reward in rewards:
            self._variance += (1 - MEMORY) * ((reward - self._baseline) ** 2 - self._variance)
            self._baseline += (1 - MEMORY) * (reward - self._baseline)
        return advantage
