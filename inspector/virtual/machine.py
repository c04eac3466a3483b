"""The virtual line's hardware and its PLC's constants, as settings: distances, drive, flap, cycle.

Comes in from the world's file; ``conveyor.py`` and ``plc.py`` share it, as a machine and its
program do. Imports ``config`` alone.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from inspector.config import Settings

U32 = 0xFFFF_FFFF


class Machine(Settings):
    """What the mechanic built: distances, encoder, drive and flap. PLC and physics share it."""

    gate_mm: float = Field(1000.0, gt=0)
    """Trigger eye to gate."""
    infeed_mm: float = Field(120.0, gt=0)
    """Infeed sensor to trigger eye."""
    gate_eye_mm: float = Field(100.0, gt=0)
    """How far before the gate its own eye checks that what comes is what was tracked."""
    window_mm: float = Field(12.0, gt=0)
    """Width of the flap's reach, centred on the gate: the leading edge is steered in it."""
    switch_ms: float = Field(4.0, ge=0)
    """The flap's travel from one side to the other."""
    confirm_mm: float = Field(80.0, gt=0)
    """Gate to the confirmation sensor in the reject lane."""
    bin_size: int = Field(1_000_000, ge=1)
    """Rejects that fill the bin."""
    mm_per_count: float = Field(0.1, gt=0)
    """Encoder resolution."""
    encoder_start: int = Field(0, ge=0, le=U32)
    """Count at start; near 2³² to see it roll over."""
    accel_mm_s2: float = Field(4000.0, gt=0)
    """The drive's ramp."""
    item_mm: float = Field(30.0, gt=0)
    """Length of an item along the belt."""

    @model_validator(mode="after")
    def _gate_eye_is_between(self) -> Machine:
        if not self.window_mm / 2 < self.gate_eye_mm < self.gate_mm:
            raise ValueError("`gate_eye_mm` must lie between the flap's window and the eye")
        return self


class Program(Settings):
    """The constants of the PLC's program that are not distances of the machine."""

    scan_ms: float = Field(4.0, ge=0.5, le=20)
    """Cycle of the program. Edges are captured between cycles by fast inputs."""
    debounce_mm: float = Field(8.0, gt=0)
    """A second edge within this much belt is the same part."""
    pitch_min_mm: float = Field(20.0, gt=0)
    """Two parts closer than this are a double trigger: both are rejected."""
    longest_mm: float = Field(45.0, gt=0)
    """A beam blocked for more belt than this sees touching parts: rejected."""
    reverse_limit_mm: float = Field(5.0, gt=0)
    """Moving back by more than this loses what stands between eye and gate."""
    tolerance_mm: float = Field(5.0, gt=0)
    """How far from its tracked place a part may be seen by the gate's eye."""
    slack_mm: float = Field(1.5, gt=0)
    """By how much the encoder may disagree with the drive, and the flap's margin on each side."""
    slip_fraction: float = Field(0.02, gt=0, lt=1)
    """More disagreement than this part of the way is a slipping encoder."""
    acknowledge: Literal["event", "scan"] = "event"
    """Decisions are taken in the communication event that brings them, so that the very answer
    acknowledges them, or (``scan``) at the start of the next cycle, as simpler PLCs do."""
