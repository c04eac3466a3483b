"""What the detector promises: shapes, decoding, one box per object, one cell per duty."""

from __future__ import annotations

import torch

from training.detector import KEPT, Detector, EndToEnd, Shape, decode, fuse, grid, suppress
from training.loss import assign, complete_iou, detection_loss

SMALL = Shape(64, 96, ("a", "b", "c"), channels=(8, 8, 16, 16), neck=8)


def test_the_net_answers_once_for_every_cell_of_its_three_grids() -> None:
    boxes, scores = Detector(SMALL)(torch.rand(2, 3, 64, 96))
    cells = 8 * 12 + 4 * 6 + 2 * 3
    assert boxes.shape == (2, cells, 4)
    assert scores.shape == (2, cells, 3)
    centres, strides = grid(64, 96)
    assert centres.shape == (cells, 2) and strides.shape == (cells,)
    assert centres[0].tolist() == [4.0, 4.0] and centres[-1].tolist() == [80.0, 48.0]


def test_a_size_that_the_grids_do_not_divide_is_refused() -> None:
    try:
        Detector(Shape(100, 96, ("a",)))
    except ValueError as error:
        assert "multiples of 32" in str(error)
    else:
        raise AssertionError("accepted")


def test_decoding_puts_the_box_around_the_moved_centre() -> None:
    box = decode(
        torch.tensor([[0.5, 0.0, 0.0, 0.6931472]]),
        torch.tensor([[20.0, 30.0]]),
        torch.tensor([8.0]),
    )
    assert torch.allclose(box, torch.tensor([[20.0, 22.0, 28.0, 38.0]]))


def test_suppression_keeps_the_best_of_each_object_and_class() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [40, 40, 50, 50], [0, 0, 10, 10]])
    scores = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.7, 0.0], [0.0, 0.6]])
    rows = suppress(boxes, scores)
    kept = rows[rows[:, 4] > 0.5]
    assert sorted((round(r[4].item(), 1), int(r[5])) for r in kept) == [
        (0.6, 1),
        (0.7, 0),
        (0.9, 0),
    ]


def test_suppression_is_greedy_along_a_chain() -> None:
    # b overlaps a, c overlaps b but not a: greedy suppression keeps a and c.
    boxes = torch.tensor([[0.0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10]])
    rows = suppress(boxes, torch.tensor([[0.9], [0.8], [0.7]]))
    assert [round(s, 1) for s in rows[:, 4].tolist()] == [0.9, 0.0, 0.7]


def test_folding_the_norms_changes_nothing_but_the_speed() -> None:
    torch.manual_seed(0)
    whole = EndToEnd(Detector(SMALL))
    whole.net(torch.rand(4, 3, 64, 96))
    whole.eval()
    picture = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    before = whole(picture)
    assert before.shape == (1, KEPT, 6)
    after = fuse(whole)(picture)
    assert torch.allclose(before[..., 4].sort().values, after[..., 4].sort().values, atol=1e-4)


def test_every_object_gets_cells_that_lie_on_it_even_one_smaller_than_a_cell() -> None:
    centres, strides = grid(64, 96)
    truth = torch.tensor([[10.0, 10, 60, 50], [80.0, 41, 84, 44]])
    boxes = torch.cat((centres - strides[:, None], centres + strides[:, None]), 1)
    scores = torch.full((len(centres), 2), 0.01)
    owner, quality = assign(scores, boxes, truth, torch.tensor([0, 1]), centres, strides)
    assert set(owner.tolist()) == {-1, 0, 1}
    of_small = centres[owner == 1]
    assert ((of_small - torch.tensor([82.0, 42.5])).abs() < 32).all()
    assert (quality[owner < 0] == 0).all() and (quality <= 1).all()


def test_complete_iou_is_one_for_equal_boxes_and_falls_with_distance() -> None:
    a = torch.tensor([[0.0, 0, 10, 20]])
    assert torch.allclose(complete_iou(a, a), torch.ones(1), atol=1e-5)
    near, far = complete_iou(a, a + 20), complete_iou(a, a + 60)
    assert far < near < 0


def test_the_loss_falls_when_a_tiny_set_is_learned_by_heart() -> None:
    torch.manual_seed(1)
    net = Detector(SMALL)
    centres, strides = grid(64, 96)
    pixels = torch.full((4, 3, 64, 96), 0.5)
    truths, labels = [], []
    for i in range(4):
        x, y = 10 + 12 * i, 8 + 4 * i
        pixels[i, :, y : y + 24, x : x + 30] = torch.tensor([1.0, 0.2, 0.0])[:, None, None]
        truths.append(torch.tensor([[float(x), y, x + 30, y + 24]]))
        labels.append(torch.tensor([1]))
    losses = []
    for _ in range(12):
        raw, logits = net(pixels)
        loss = detection_loss(raw, logits, truths, labels, centres, strides)
        net.zero_grad()
        loss.backward()
        with torch.no_grad():
            # By hand: torch.optim alone takes seconds to import.
            for weight in net.parameters():
                weight -= 0.01 * weight.grad.sign()
        losses.append(float(loss.detach()))
    assert min(losses[-3:]) < 0.7 * losses[0]
