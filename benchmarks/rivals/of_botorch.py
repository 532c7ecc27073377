"""BoTorch's Gaussian processes with noisy expected improvement.

Who ``knows`` the cost models accuracy over the choices, log parameters and log FLOPs, and maximises
the reward over the window: an objective of BoTorch multiplies each sampled accuracy by the factor
that its FLOPs give (``GenericMCObjective``). Who does not models the reward over the choices. The
best posterior mean is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.acquisition.objective import GenericMCObjective
from botorch.fit import fit_fully_bayesian_model_nuts, fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.fully_bayesian import SaasFullyBayesianSingleTaskGP
from botorch.models.map_saas import EnsembleMapSaasSingleTaskGP
from botorch.models.transforms import Standardize
from botorch.models.transforms.input import Warp
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.sampling import manual_seed
from botorch.utils.transforms import is_ensemble
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import LogNormalPrior

from benchmarks.rivals.base import Rival, Trained
from nas.candidates import Floats
from nas.space import Batch

REFERENCE = 1000  # networks of the window whose parameters set the scale of that input
SAMPLES = 64  # quasi-random ones, of each network's accuracy
AT_ONCE = 512  # networks
SPARSITIES = 4  # of the ensemble, as BoTorch has it


class SingleTask(Rival):
    """``SingleTaskGP`` at its defaults, which infers the noise."""

    opening = 5  # as Ax has it

    def suggest(self, trained: Trained, rng: np.random.Generator) -> Iterator[Batch]:
        model, inputs = self.fitted(trained, seed := int(rng.integers(2**31)))
        with manual_seed(seed):
            acquisition = qLogNoisyExpectedImprovement(
                model,
                inputs,
                sampler=SobolQMCNormalSampler(torch.Size([SAMPLES]), seed=seed),
                objective=GenericMCObjective(
                    lambda values, X: values[..., 0] * self._factor(X, is_ensemble(model))
                ),
                prune_baseline=True,
            )

        def score(rows: Batch, costs: Floats) -> Floats:
            with torch.no_grad():
                parts = torch.split(self.inputs(rows)[:, None], AT_ONCE)
                found: Floats = torch.cat([acquisition(part) for part in parts]).numpy()
            return found

        merit = self.mean(model, inputs)
        yield from self.best_by(score, trained.rows[np.argsort(-merit, kind="stable")], rng)

    def expected(self, trained: Trained) -> Floats:
        return self.mean(*self.fitted(trained, seed=0))

    def fit(self, inputs: torch.Tensor, targets: torch.Tensor, seed: int) -> Any:
        """A model of ``targets`` (N, 1) over ``inputs`` (N, F) in the unit cube."""
        model = SingleTaskGP(inputs, targets, outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return model

    def fitted(self, trained: Trained, seed: int) -> tuple[Any, torch.Tensor]:
        """The model of these trainings, and its inputs."""
        inputs = self.inputs(trained.rows)
        targets = torch.from_numpy(trained.accuracy if self.knows else trained.reward)[:, None]
        with manual_seed(seed):
            return self.fit(inputs, targets, seed), inputs

    def mean(self, model: Any, inputs: torch.Tensor) -> Floats:
        """The rewards that a model expects of networks, (N,)."""
        with torch.no_grad():
            posterior = model.posterior(inputs)
            mean = posterior.mixture_mean if is_ensemble(model) else posterior.mean
            found: Floats = (mean[:, 0] * self._factor(inputs)).numpy()
        return found

    def inputs(self, rows: Batch) -> torch.Tensor:
        """(N, F), each in [0, 1]: the choices' places; and log parameters, between the extremes of
        ``REFERENCE`` networks, and log FLOPs, between the window's ends."""
        made = self.candidates.space.encode(rows)
        if self.knows:
            low, high = self._scale
            costs = (self._costs(rows) - low) / (high - low)
            made = np.hstack([made, np.clip(costs, 0, 1)])
        return torch.from_numpy(made)

    def _factor(self, inputs: torch.Tensor, ensemble: bool = False) -> torch.Tensor:
        """What the reward multiplies what is modelled by, of networks with these inputs (…, N, F):
        (…, N); of an ``ensemble`` (…, 1, N), for all its members."""
        if not self.knows:
            return torch.ones(())
        low, high = self._scale[0][-1], self._scale[1][-1]
        flops = np.exp(inputs[..., -1].numpy() * (high - low) + low)
        found = torch.from_numpy(self.candidates.objective.factor(flops))
        return found.unsqueeze(-2) if ensemble else found

    def _costs(self, rows: Batch) -> Floats:
        """Log parameters and log FLOPs, (N, 2)."""
        costs = self.candidates.space.costs(rows)
        found: Floats = np.log(np.stack([costs.params, costs.macs], 1).astype(float))
        return found

    @cached_property
    def _scale(self) -> tuple[Floats, Floats]:
        aim = self.candidates.objective
        costs = self._costs(self.candidates.draw(REFERENCE, np.random.default_rng(0)))
        window = np.log([[aim.low * aim.budget], [aim.high * aim.budget]])
        low, high = np.hstack([[costs.min(0), costs.max(0)], window])[:, [0, 2]]
        return low, high


class WarpedSaas(SingleTask):
    """What Ax's method "quality" models with: the sparse fully Bayesian process (SAAS, Eriksson and
    Jankowiak 2021, arXiv:2103.00349) over warped inputs, sampled anew by NUTS for each training."""

    def fit(self, inputs: torch.Tensor, targets: torch.Tensor, seed: int) -> Any:
        model = SaasFullyBayesianSingleTaskGP(
            inputs, targets, outcome_transform=Standardize(1), use_input_warping=True
        )
        fit_fully_bayesian_model_nuts(model, disable_progbar=True, seed=seed)
        return model


class MapSaas(SingleTask):
    """The same prior and warping at their most probable values, for four sparsities (BoTorch's
    ``EnsembleMapSaasSingleTaskGP``): seconds a search where sampling takes minutes."""

    def fit(self, inputs: torch.Tensor, targets: torch.Tensor, seed: int) -> Any:
        bent = LogNormalPrior(0.0, 0.1**0.5)
        warp = Warp(
            width := inputs.shape[1],
            list(range(width)),
            concentration1_prior=bent,
            concentration0_prior=bent,
            batch_shape=torch.Size([SPARSITIES]),
        )
        model = EnsembleMapSaasSingleTaskGP(
            inputs, targets, num_taus=SPARSITIES, input_transform=warp
        )
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return model
