"""Tiny nets are slower on two threads than on one, and the machine may be busy."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
