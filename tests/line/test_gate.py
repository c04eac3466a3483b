"""The PLC's gate over a real socket: permits, acknowledgements, and every way to lose one."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from inspector.config import Plc as PlcConfig
from inspector.line import plcgate
from inspector.line.gate import NEVER_NS, Gate, GateEvent, Link, Seen, Told
from inspector.line.plcgate import PlcGate
from inspector.pace import Pace
from inspector.registers import U32, Action, GateReason, StationBit

PERMIT, REJECT, REVOKE = Action.PERMIT, Action.REJECT, Action.REVOKE


class Desk:
    """A gate with what it has said so far."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.events: list[GateEvent] = []

    def told(self) -> list[Told]:
        self.gate.alive(time.monotonic_ns())
        self.events += self.gate.take()
        return [e for e in self.events if isinstance(e, Told)]

    def last(self) -> Seen | None:
        self.told()
        return next((e for e in reversed(self.events) if isinstance(e, Seen)), None)

    def links(self) -> list[bool]:
        self.told()
        return [e.up for e in self.events if isinstance(e, Link)]

    def decide(
        self, part: int, action: Action = PERMIT, in_s: float = 2.0, run: int = 0xBEEF
    ) -> None:
        deadline_ns = time.monotonic_ns() + int(in_s * 1e9)
        self.gate.decide(run, part, action, GateReason.NONE, deadline_ns)


@pytest.fixture
def desk(plc) -> Iterator[Desk]:
    gate = PlcGate(PlcConfig(port=plc.port, poll_ms=10, timeout_ms=100), hung_ns=150_000_000)
    gate.show(StationBit.READY, 0)
    desk = Desk(gate)
    until(lambda: desk.last())
    yield desk
    gate.close()


def until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def test_a_permit_is_acknowledged_by_its_sequence_and_is_for_one_number(plc, desk) -> None:
    desk.decide(17)
    until(desk.told)
    told = desk.told()[0]
    assert (told.part, told.action) == (17, PERMIT)
    assert told.decided_ns < told.acknowledged_ns < told.deadline_ns
    assert plc.permits() == {17}


@pytest.mark.parametrize("away", [False, True])
def test_a_plc_that_counts_anew_in_its_run_does_not_hear_ready_again(plc, desk, away) -> None:
    """(I2) It may hold a permit for a number that comes again, and the line has not looked yet: not
    even the first exchange after the link was down says that the station is ready."""
    with plc.lock:
        plc.status = replace(plc.status, part_counter=17)
    until(lambda: StationBit.READY in plc.bits)
    until(lambda: (seen := desk.last()) and seen.status.part_counter == 17)
    if away:
        plc.stop()
        until(lambda: desk.links()[-1:] == [False])
        plc.bits = StationBit(0)
        plc.heartbeats.clear()
    plc.status = replace(plc.status, part_counter=3)
    if away:
        plc.start()
    until(lambda: (seen := desk.last()) and seen.status.part_counter == 3)
    until(lambda: StationBit.READY not in plc.bits)
    assert not away or plc.heartbeats[:1] == plc.heartbeats[-1:], "nor is it counted up meanwhile"
    desk.gate.show(StationBit.READY, 0)
    until(lambda: StationBit.READY in plc.bits)


def test_a_thousand_decisions_go_through_a_ring_of_sixteen_in_their_order(plc, desk) -> None:
    for part in range(1, 1001):
        desk.decide(part, PERMIT if part % 3 else REJECT)
    until(lambda: len(desk.told()) == 1000)
    assert [d.part for d in plc.obeyed] == list(range(1, 1001))
    assert [d.sequence for d in plc.obeyed] == list(range(1, 1001))
    assert plc.permits() == {part for part in range(1, 1001) if part % 3}


def test_decisions_in_quick_succession_share_exchanges(plc, desk) -> None:
    before, began_ns = desk.gate.exchanges, time.monotonic_ns()
    for part in range(1, 101):
        desk.decide(part)
        desk.told()
        time.sleep(0.001)
    until(lambda: len(desk.told()) == 100)
    paced = (time.monotonic_ns() - began_ns) / plcgate.PACE_NS
    assert desk.gate.exchanges - before <= paced + plcgate.BURST + 1
    assert [d.part for d in plc.obeyed] == list(range(1, 101))


def test_what_must_be_at_the_gate_soon_waits_for_no_pace(plc, desk, monkeypatch) -> None:
    """(I1, I3) Nor does what takes a permit back."""
    monkeypatch.setattr(plcgate, "URGENT_NS", 10_000_000_000)
    desk.gate._pace = Pace(10**15, burst=1)
    assert not desk.gate._pace.put_off_ns(time.monotonic_ns())
    desk.decide(1, in_s=60)
    for _ in range(20):
        desk.told()
        time.sleep(0.005)
    assert plc.permits() == set()
    desk.decide(2, in_s=5)
    until(lambda: plc.permits() == {1, 2})
    until(lambda: len(desk.told()) == 2)
    desk.gate.refuse(0xBEEF, [1], GateReason.TRACKING)
    until(lambda: plc.permits() == {2})


def test_what_was_in_a_hurry_holds_up_nobody(plc, desk, monkeypatch) -> None:
    """A machine that takes back 200 permits a second, beside a slow line."""
    monkeypatch.setattr(plcgate, "URGENT_NS", 10_000_000_000)
    spent: list[int] = []
    monkeypatch.setattr(desk.gate._pace, "put_off_ns", lambda now_ns: spent.append(now_ns) or 0)
    before = desk.gate.exchanges
    for part in range(1, 41):
        desk.decide(part, in_s=5)
        until(lambda part=part: len(desk.told()) == part)
    assert desk.gate.exchanges - before - len(spent) >= 40 - 1  # a poll may be on its way


def test_an_acknowledgement_that_is_due_soon_is_looked_for_without_a_pace(
    plc, desk, monkeypatch
) -> None:
    """A PLC that takes decisions a cycle later has not acknowledged by its first answer."""
    monkeypatch.setattr(plcgate, "URGENT_NS", 10_000_000_000)
    desk.gate._pace = Pace(10**15, burst=1)
    plc.acknowledges = False
    desk.decide(1, in_s=5)
    seen = len(plc.heartbeats)
    until(lambda: desk.told() is not None and len(plc.heartbeats) > seen + 1)
    plc.acknowledges = True
    until(desk.told)
    assert desk.told()[0].acknowledged_ns


def test_a_decision_without_acknowledgement_is_given_up_after_its_deadline(plc, desk) -> None:
    plc.acknowledges = False
    desk.decide(1, in_s=0.05)
    until(desk.told)
    assert desk.told()[0].acknowledged_ns == 0


def test_a_permit_whose_deadline_has_passed_is_never_sent(plc, desk) -> None:
    desk.decide(5, in_s=-0.1)
    until(desk.told)
    assert plc.permits() == set()
    assert (desk.told()[0].action, desk.told()[0].reason) == (REJECT, GateReason.LATE)


def test_a_permit_is_revoked_when_its_part_must_not_pass_after_all(plc, desk) -> None:
    desk.decide(3)
    until(lambda: plc.permits() == {3})
    desk.gate.refuse(0xBEEF, [3, 4], GateReason.TRACKING)
    until(lambda: plc.permits() == set())
    desk.decide(4)
    until(lambda: len(desk.told()) == 3)
    assert [(t.part, t.action) for t in desk.told()] == [(3, PERMIT), (3, REVOKE), (4, REJECT)]
    assert plc.permits() == set()


def test_a_part_that_was_rejected_cannot_be_permitted_later(plc, desk) -> None:
    desk.decide(8, REJECT)
    desk.decide(8, PERMIT)
    desk.decide(9, PERMIT)
    until(lambda: len(desk.told()) == 2)
    assert [t.part for t in desk.told()] == [8, 9]
    assert plc.permits() == {9}


def test_the_heartbeat_counts_while_the_line_judges_and_stops_when_it_hangs(plc, desk) -> None:
    until(lambda: desk.told() is not None and len(set(plc.heartbeats)) > 5)
    assert StationBit.READY in plc.bits
    until(lambda: StationBit.READY not in plc.bits)  # nobody calls alive() any more
    stopped = plc.heartbeats[-1]
    seen = len(plc.heartbeats)
    until(lambda: len(plc.heartbeats) > seen + 3)
    assert set(plc.heartbeats[seen:]) == {stopped}
    desk.gate.alive(time.monotonic_ns())
    until(lambda: StationBit.READY in plc.bits)


def test_the_heartbeat_stops_while_the_station_is_not_ready(plc, desk) -> None:
    desk.gate.show(StationBit.ALARM, 2)
    until(lambda: plc.bits == StationBit.ALARM and plc.mode == 2)
    stopped, seen = plc.heartbeats[-1], len(plc.heartbeats)
    until(lambda: desk.told() is not None and len(plc.heartbeats) > seen + 3)
    assert set(plc.heartbeats[seen:]) == {stopped}


def test_a_slow_plc_loses_no_decision_and_the_link_comes_back(plc, desk) -> None:
    plc.delay_s = 0.3
    until(lambda: desk.links()[-1] is False)
    desk.decide(21, in_s=5)
    plc.delay_s = 0.0
    until(lambda: plc.permits() == {21})
    until(lambda: desk.links()[-1] is True)
    until(lambda: desk.told() and desk.told()[0].acknowledged_ns)


def test_a_dead_plc_is_an_event_and_its_return_is_another(plc, desk) -> None:
    desk.decide(1)
    until(lambda: plc.permits() == {1})
    plc.stop()
    until(lambda: desk.links()[-1] is False)
    desk.decide(2, in_s=0.1)
    until(lambda: len(desk.told()) == 2)
    assert desk.told()[1].acknowledged_ns == 0
    plc.start()
    until(lambda: desk.links()[-1] is True)
    desk.decide(3)
    until(lambda: 3 in plc.permits())
    assert 2 not in plc.permits()


def test_a_plc_that_counts_anew_never_gets_a_permit_of_its_former_run(plc, desk) -> None:
    desk.decide(1)
    until(lambda: plc.permits() == {1})
    plc.acknowledges = False
    desk.decide(2)
    until(lambda: plc.heartbeats)
    plc.obeyed.clear()
    plc.status = replace(plc.status, run=0xCAFE, acknowledged=0, part_counter=0)
    plc.acknowledges = True
    desk.decide(3)  # still for the former run: the line has not heard of the new one
    until(lambda: plc.run_seen == 0xCAFE)
    desk.decide(1, run=0xCAFE)
    until(lambda: any(t.run == 0xCAFE and t.acknowledged_ns for t in desk.told()))
    assert plc.permits() == {1}
    assert [d.part for d in plc.obeyed] == [1]
    assert {t.part: bool(t.acknowledged_ns) for t in desk.told() if t.run == 0xBEEF} == {
        1: True, 2: False, 3: False,
    }  # fmt: skip


def test_a_station_that_starts_anew_goes_on_where_the_plc_stands(plc, desk) -> None:
    for part in range(1, 8):
        desk.decide(part)
    until(lambda: len(desk.told()) == 7)
    desk.gate.close()
    second = Desk(PlcGate(PlcConfig(port=plc.port, poll_ms=10)))
    until(lambda: second.last())
    second.decide(8)
    until(lambda: 8 in plc.permits())
    assert plc.obeyed[-1].sequence == 8
    second.gate.close()


def test_a_permit_of_a_part_that_waits_is_taken_back_however_long_the_link_was_down(
    plc, desk
) -> None:
    """(I2) The belt stands, so the part is still to come when its permit's deadline is long over.
    Nothing but the revoke keeps it from passing when the belt goes on."""
    for part in range(1, 20):  # a machine that stalls does not get its permit out in time
        desk.decide(part, in_s=0.7)
        until(lambda part=part: len(desk.told()) == part)
        if plc.permits():
            break
    plc.stop()
    until(lambda: desk.links()[-1] is False)
    until(lambda: time.monotonic_ns() > desk.told()[-1].deadline_ns)
    desk.gate.refuse(0xBEEF, plc.permits(), GateReason.COMMAND)
    until(lambda: [t.acknowledged_ns for t in desk.told() if t.action is REVOKE] == [0])
    plc.start()
    until(lambda: plc.permits() == set())
    until(lambda: any(t.acknowledged_ns for t in desk.told() if t.action is REVOKE))


def test_another_master_on_the_same_registers_is_found_out_and_a_revoke_outlives_it(
    plc, desk
) -> None:
    """(I2) Two stations that write one block: whoever's decisions are overwritten says so."""
    desk.decide(1, in_s=60)
    until(lambda: plc.permits() == {1})
    with plc.lock:
        plc.status = replace(plc.status, acknowledged=plc.status.acknowledged + 3)
    until(lambda: False in desk.links())
    assert "another master" in next(e.why for e in desk.events if isinstance(e, Link) and e.why)
    until(lambda: desk.links()[-1] is True)
    desk.gate.refuse(0xBEEF, [1], GateReason.COMMAND)
    until(lambda: plc.permits() == set())


def test_the_sequence_goes_on_behind_its_largest_number(plc) -> None:
    """(I2) 0 is an empty entry: after 4294967295 comes 1, with the ring full all the while."""
    start = U32 - 20
    plc.status = replace(plc.status, acknowledged=start)
    gate = PlcGate(PlcConfig(port=plc.port, poll_ms=10, timeout_ms=1000))
    desk = Desk(gate)
    until(lambda: desk.last())
    for part in range(1, 101):
        desk.decide(part, in_s=60)
    until(lambda: len(desk.told()) == 100)
    gate.close()
    assert all(told.acknowledged_ns for told in desk.told())
    assert desk.links() == [True]
    assert [d.part for d in plc.obeyed] == list(range(1, 101))
    assert [d.sequence for d in plc.obeyed] == [*range(start + 1, U32 + 1), *range(1, 81)]


def test_closing_drops_ready_at_once(plc, desk) -> None:
    until(lambda: desk.told() is not None and StationBit.READY in plc.bits)
    desk.gate.close()
    assert StationBit.READY not in plc.bits


@pytest.mark.parametrize("opened", [True, False])
def test_a_plc_that_does_not_answer_holds_up_no_end(
    plc, monkeypatch: pytest.MonkeyPatch, opened: bool
) -> None:
    """The line's last records are written after its gate is closed, and who waits for the process
    kills it after 5 s, which is as long as a PLC may take for an answer."""
    monkeypatch.setattr(plcgate, "CLOSING_S", 0.05)
    plc.delay_s = 0.0 if opened else 0.6
    gate = PlcGate(PlcConfig(port=plc.port, poll_ms=10, timeout_ms=5000))
    if opened:
        until(lambda: gate.exchanges)
        plc.delay_s = 0.6
        until(lambda: not gate.take() and gate._asking)
    began = time.monotonic()
    gate.close()
    assert time.monotonic() - began < 0.5
    gate._keeper.join(5)
    assert gate._master.fileno() < 0


def test_another_register_layout_is_refused(plc) -> None:
    plc.status = replace(plc.status, layout=9)
    gate = PlcGate(PlcConfig(port=plc.port, poll_ms=10))
    desk = Desk(gate)
    until(lambda: desk.links() == [False])
    link = next(e for e in desk.events if isinstance(e, Link))
    assert "layout 9" in link.why
    assert not plc.heartbeats  # nothing was written to it
    gate.close()


def test_a_gate_without_a_plc_waits_without_a_storm() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    gate = PlcGate(PlcConfig(port=port))
    desk = Desk(gate)
    until(lambda: desk.links() == [False])
    began = time.process_time()
    for part in range(1, 200):
        desk.decide(part, in_s=0.01)
    until(lambda: len(desk.told()) == 199)
    assert time.process_time() - began < 0.3
    gate.close()


def test_who_is_in_a_hurry_is_woken_by_the_answer_only_if_he_asks_twice(plc, monkeypatch) -> None:
    """The line asks for a part's trigger when its picture comes, and needs it when it is judged:
    an answer that wakes the loop before that only takes the judge's time."""
    monkeypatch.setattr(plcgate, "STAND_IN_NS", 1_500_000_000)  # the loop of this test is slow
    gate = PlcGate(PlcConfig(port=plc.port, poll_ms=100, timeout_ms=1000))
    desk = Desk(gate)

    def at_rest() -> bool:
        desk.told()
        return bool(desk.events) and gate.due_ns() < NEVER_NS

    wakes = select.poll()
    wakes.register(gate.fileno(), select.POLLIN)
    until(at_rest)
    gate.hurry()
    assert not wakes.poll(100)
    until(lambda: any(isinstance(event, Seen) for event in gate.take()))

    until(at_rest)
    gate.hurry()
    gate.hurry()
    assert wakes.poll(5000)
    gate.close()
