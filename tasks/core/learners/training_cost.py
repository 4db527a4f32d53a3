"""What teaching a network costs on a device: time, memory, how busy a GPU is, its largest batch, and what would save.

A fitted network is taught its own answers: the work is that of any epoch, and nothing comes of it. The clock is handed
in.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from tasks.core.learners import capacity, fitting
from tasks.core.learners.fitting import Course, Taught
from tasks.core.learners.lesson import Device
from tasks.core.learners.network import Forward, Network, count, in_pieces

Clock = Callable[[], float]
MIB = 1 << 20
# A compiled step must save this share to be worth the wait; timed over so many steps after as many to warm up.
COMPILED_MARGIN, STEPS = 0.1, 10


@dataclass(frozen=True)
class Cost:
    """One epoch over ``rows`` in batches of ``batch``; what only a GPU can tell is None on a processor.

    ``busy_share`` is the share of the epoch in which the GPU computed. ``compiled`` says in words what compiling saves
    a step, or why it was not tried; ``recomputed`` what working layers out again does.
    """

    device: Device
    rows: int
    batch: int
    epoch_seconds: float
    compiled: str
    recomputed: str
    peak_mib: float | None = None
    busy_share: float | None = None
    largest_batch: int | None = None


def cost(network: Network, asked: Any, batch: int, device: Device, clock: Clock) -> Cost:
    """Measure one epoch of teaching *network* what is *asked*, and what is known of its memory."""
    label = in_pieces(network.answer, asked)
    taught = Taught(asked, label.clone())
    few = _of(taught, batch)
    epoch = _Epoch(network, taught, few, batch, device)
    epoch.go()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = clock()
    epoch.go()
    seconds = clock() - began
    peak = torch.cuda.max_memory_allocated() / MIB if device == "cuda" else None
    words = compiling(network, few.on(device), device, clock), recomputing(network, few.on(device), clock)
    if device == "cpu":
        return Cost(device, count(asked), batch, seconds, *words)
    most = capacity.largest(lambda rows: _step(network.forward, _held(network, device), _of(taught, rows).on(device)))
    return Cost(device, count(asked), batch, seconds, *words, peak, _busy(epoch, clock), most)


def compiling(network: Network, taught: Taught, device: Device, clock: Clock) -> str:
    """Say what ``torch.compile`` saves a step on *device*, or why it cannot be had."""
    if device == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        return "not tried: it needs a C++ compiler on a processor, and there is none"
    weights = _held(network, device)
    began = clock()
    try:
        quick = torch.compile(network.forward)
        _step(quick, weights, taught)
    except Exception as error:  # whatever a compiler may say of a network it cannot take
        return f"cannot be had: {str(error).splitlines()[0][:120]}"
    spent = clock() - began
    plain, faster = (_time_of(forward, weights, taught, clock) for forward in (network.forward, quick))
    saved = 1 - faster / plain
    if saved < COMPILED_MARGIN:
        return f"does not pay: a step takes {faster * 1e3:.3g} ms compiled and {plain * 1e3:.3g} ms as it is"
    steps = spent / (plain - faster)
    return f"saves {saved:.0%} of a step; its {spent:.1f} s of compiling are won back after {steps:,.0f} steps"


def recomputing(network: Network, taught: Taught, clock: Clock) -> str:
    """Say what a step keeps for its slope, and takes, where layers are worked out again (gradient checkpointing)."""
    if network.frugal is None:
        return "is not known of this network"
    device: Device = "cuda" if taught.label.is_cuda else "cpu"
    weights = _held(network, device)
    plain, less = (kept_bytes(forward, weights, taught) for forward in (network.forward, network.frugal))
    quick, slow = (_time_of(forward, weights, taught, clock) for forward in (network.forward, network.frugal))
    return (
        f"keeps {less / MIB:.3g} MiB of a step for its slope instead of {plain / MIB:.3g}; the step takes "
        f"{slow * 1e3:.3g} ms instead of {quick * 1e3:.3g}"
    )


def kept_bytes(forward: Forward, weights: Mapping[str, torch.Tensor], taught: Taught) -> int:
    """Return how many bytes a step keeps from its answers to its slope, beside the weights; each storage once."""
    own = {each.untyped_storage().data_ptr() for each in weights.values()}
    kept: dict[int, torch.UntypedStorage] = {}

    def noted(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    device: Device = "cuda" if taught.label.is_cuda else "cpu"
    with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor), fitting.half(device):
        said = forward(weights, taught.asked)
    del said
    return sum(each.nbytes() for each in kept.values())


@dataclass(frozen=True)
class _Epoch:
    network: Network
    taught: Taught
    few: Taught
    batch: int
    device: Device

    def go(self) -> None:
        course = Course("the network", self.network.forward, _loss, 1, 1e-9, 0.0, self.batch)
        key = "an epoch to be timed"
        fitting.fit(
            course, self.network.weights, self.taught, self.few, device=self.device, seed=0, key=key, checkpoints=None
        )
        _wait(self.device)


def _busy(epoch: _Epoch, clock: Clock) -> float:
    """Return the share of an epoch's time in which kernels ran."""
    began = clock()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
        epoch.go()
    spent = clock() - began
    return float(sum(each.self_device_time_total for each in seen.key_averages()) / 1e6 / spent)


def _time_of(forward: Any, weights: Mapping[str, torch.Tensor], taught: Taught, clock: Clock) -> float:
    for _ in range(STEPS):
        _step(forward, weights, taught)
    began = clock()
    for _ in range(STEPS):
        _step(forward, weights, taught)
    return max((clock() - began) / STEPS, 1e-9)


def _step(forward: Any, weights: Mapping[str, torch.Tensor], taught: Taught) -> None:
    device: Device = "cuda" if taught.label.is_cuda else "cpu"
    with fitting.half(device):
        said = forward(weights, taught.asked)
    torch.autograd.grad(_loss(said.float(), taught.label), list(weights.values()), allow_unused=True)
    _wait(device)


def _of(taught: Taught, rows: int) -> Taught:
    places = torch.arange(rows) % len(taught.label)
    return Taught(taught.asked.of(places), taught.label[places])


def _held(network: Network, device: Device) -> dict[str, torch.Tensor]:
    return {name: each.detach().clone().to(device).requires_grad_() for name, each in network.weights.items()}


def _loss(said: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    # Never nothing: half the way to the labels keeps every gradient alive.
    return torch.nn.functional.mse_loss(said, label * 0.5)


def _wait(device: Device) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
