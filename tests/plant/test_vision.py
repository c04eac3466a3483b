"""The vision state machine of OPC 40100-1 against its table of transitions. (S1)"""

from __future__ import annotations

import pytest

from inspector.plant.vision import ALLOWED, PAUSES, Facts, Method, State, Vision

RUNS, RESTS, LOST = Facts(True), Facts(True, paused=True), Facts(False)


def at(state: State) -> Vision:
    """A vision system in ``state``."""
    vision = Vision(RESTS)
    match state:
        case State.HALTED:
            vision.halted = True
        case State.PREOPERATIONAL:
            vision.reset = True
        case State.ERROR:
            vision.facts = LOST
        case State.INITIALIZED:
            vision.prepared = False
        case State.SINGLE:
            vision.facts, vision.single = RUNS, True
        case State.CONTINUOUS:
            vision.facts = RUNS
    assert vision.state is state
    return vision


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("method", Method)
def test_a_method_may_be_called_where_the_standard_says(method: Method, state: State) -> None:
    assert at(state).may(method) == (state in ALLOWED[method])


@pytest.mark.parametrize(
    ("state", "method", "then"),
    [
        (State.CONTINUOUS, Method.HALT, State.HALTED),
        (State.HALTED, Method.RESET, State.PREOPERATIONAL),
        (State.PREOPERATIONAL, Method.SELECT_AUTOMATIC, State.READY),
        (State.INITIALIZED, Method.PREPARE, State.READY),
        (State.READY, Method.UNPREPARE, State.INITIALIZED),
        (State.READY, Method.START_CONTINUOUS, State.CONTINUOUS),
        (State.READY, Method.START_SINGLE, State.SINGLE),
        (State.SINGLE, Method.STOP, State.READY),
        (State.CONTINUOUS, Method.ABORT, State.READY),
    ],
)
def test_each_transition_ends_where_the_standard_says(
    state: State, method: Method, then: State
) -> None:
    vision = at(state)

    vision.done(method)
    vision.heard(RESTS if method in PAUSES or then is State.READY else
                 RUNS if "Start" in method else vision.facts)  # fmt: skip

    assert vision.state is then


@pytest.mark.parametrize("state", [State.READY, State.CONTINUOUS, State.INITIALIZED])
def test_a_line_that_is_lost_or_stopped_is_an_error_and_back_when_it_is(state: State) -> None:
    vision = at(state)
    before = vision.facts

    vision.heard(LOST)
    assert vision.state is State.ERROR
    vision.heard(Facts(True, before.paused, "bin_full"))
    assert vision.state is State.ERROR
    vision.heard(before)
    assert vision.state is state


def test_a_person_who_resumes_the_line_ends_what_a_client_had_halted() -> None:
    vision = at(State.HALTED)

    vision.heard(RUNS)

    assert vision.state is State.CONTINUOUS


def test_a_line_that_is_paused_by_hand_ends_a_single_job() -> None:
    vision = at(State.SINGLE)

    vision.heard(RESTS)
    vision.heard(RUNS)

    assert vision.state is State.CONTINUOUS
