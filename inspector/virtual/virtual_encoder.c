/* A virtual camera's encoder input: Encoder Control of SFNC 2.7. See virtual_camera.h.
 *
 * The world tells in short turns how far the belt's encoder has counted, modulo 2^32; from one turn
 * to the next it moves steadily. One of its counts is one quadrature edge on Line8 or Line9. */
#include "virtual_camera.h"

#include <stdlib.h>

enum output_mode { OFF, POSITION_UP, POSITION_DOWN, DIRECTION_UP, DIRECTION_DOWN, MOTION };

uint32_t encoder_count(const struct camera *c) {
  uint64_t newest = c->wire ? __atomic_load_n(&c->wire->turns, __ATOMIC_ACQUIRE) : 0;
  return newest ? c->wire->turn[(newest - 1) % WIRE_TURNS].count : 0;
}

/* 1 where channel A leads when the belt runs forward, -1 where the two are swapped, and 0 where
 * the encoder is not wired to both. */
static int direction(const struct camera *c) {
  uint64_t a = c->reg[REG_ENCODER_SOURCE_A], b = c->reg[REG_ENCODER_SOURCE_B];
  return a == LINE_A && b == LINE_B ? 1 : a == LINE_B && b == LINE_A ? -1 : 0;
}

/* How many of the way's `steps` the output mode asks for: always its last ones. */
static uint64_t wanted(struct encoder *e, uint64_t mode, int64_t steps) {
  int64_t beyond = 0;
  switch (mode) {
  case POSITION_UP: beyond = e->value - e->furthest; break;
  case POSITION_DOWN: beyond = e->furthest - e->value; break;
  case DIRECTION_UP: return steps > 0 ? (uint64_t)steps : 0;
  case DIRECTION_DOWN: return steps < 0 ? (uint64_t)-steps : 0;
  case MOTION: return (uint64_t)llabs(steps);
  default: return 0;
  }
  if (beyond <= 0) return 0;
  e->furthest = e->value;
  return (uint64_t)beyond;
}

/* FourPhase counts whole quadrature cycles, each way from the last one, so that a belt that
 * trembles at the border of two does not count; HighResolution counts every edge. */
static void follow_turn(struct camera *c, const struct turn *t) {
  struct encoder *e = &c->encoder;
  int64_t edges = (int64_t)(int32_t)(t->count - e->count) * direction(c);
  int64_t cycle = c->reg[REG_ENCODER_MODE] ? 1 : 4, before = e->rest;
  uint64_t from_ns = e->t_ns;
  e->count = t->count;
  e->t_ns = t->t_ns;
  if (from_ns == 0 || edges == 0) return;
  int64_t steps = (before + edges) / cycle;
  e->rest = before + edges - steps * cycle;
  e->value += steps;
  uint64_t divider = c->reg[REG_ENCODER_DIVIDER];
  uint64_t count = wanted(e, c->reg[REG_ENCODER_OUTPUT_MODE], steps);
  uint64_t step = (uint64_t)llabs(steps) - count + divider - e->steps; /* of the first pulse */
  uint64_t pulses = (e->steps + count) / divider;
  e->steps = (e->steps + count) % divider;
  uint64_t edge = e->pulses;
  e->pulses += pulses;
  if (!c->exposing || c->lost || c->pictures_left == 0 || !c->reg[REG_TRIGGER_MODE] ||
      c->reg[REG_TRIGGER_SOURCE] != SOURCE_ENCODER0)
    return;
  double ns_per_edge = (double)(t->t_ns - from_ns) / (double)llabs(edges);
  double begun = (double)(edges > 0 ? before : -before);
  for (; pulses > 0 && e->due_count < DUE_MAX; pulses--, step += divider) {
    double ns = ((double)step * (double)cycle - begun) * ns_per_edge;
    edge++;
    uint64_t picture = t->picture == NO_PICTURE ? EMPTY_BELT + edge : t->picture;
    e->due[(e->due_first + e->due_count++) % DUE_MAX] =
        (struct shot){.picture = picture, .t_ns = from_ns + (uint64_t)ns, .edge = edge};
  }
  c->missed += pulses; /* they came while as many waited as a camera remembers */
}

void encoder_follow(struct camera *c) {
  struct encoder *e = &c->encoder;
  uint64_t newest = c->wire ? __atomic_load_n(&c->wire->turns, __ATOMIC_ACQUIRE) : 0;
  if (newest > e->seen + WIRE_TURNS) e->seen = newest - WIRE_TURNS; /* those were overwritten */
  while (e->seen < newest) {
    const struct turn *told = &c->wire->turn[e->seen++ % WIRE_TURNS];
    struct turn t = *told;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(&told->number, __ATOMIC_RELAXED) == e->seen) follow_turn(c, &t);
  }
}

void encoder_begin(struct camera *c, int64_t value) {
  struct encoder *e = &c->encoder;
  e->value = e->furthest = value;
  e->rest = 0;
  e->steps = 0;
}

int encoder_due(struct camera *c, struct shot *shot) {
  struct encoder *e = &c->encoder;
  if (e->due_count == 0) return 0;
  *shot = e->due[e->due_first];
  e->due_first = (e->due_first + 1) % DUE_MAX;
  e->due_count--;
  return 1;
}
