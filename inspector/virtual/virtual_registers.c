/* A virtual camera's registers: what producer.xml's features read and write. See virtual_camera.h. */
#include "virtual_camera.h"

#include <stdio.h>

/* Line0 is the wire's pulse, Line1 the output, Line8 and Line9 the encoder's channels, A a quarter of
 * a cycle before B, and the others inputs that the world holds up or down. */
static uint64_t level(const struct camera *c, unsigned line) {
  if (line == 1) return c->line_source == 2 ? c->reg[REG_USER_OUTPUT] : 0;
  if (!c->wire) return 0;
  if (line == 0) return __atomic_load_n(&c->wire->head, __ATOMIC_ACQUIRE) & 1;
  if (line == LINE_A) return (encoder_count(c) ^ encoder_count(c) >> 1) & 1;
  if (line == LINE_B) return encoder_count(c) >> 1 & 1;
  return __atomic_load_n(&c->wire->inputs, __ATOMIC_ACQUIRE) >> line & 1;
}

static uint64_t computed(const struct camera *c, unsigned r) {
  uint64_t now = monotonic_ns();
  unsigned line = (unsigned)c->reg[REG_LINE_SELECTOR];
  switch (r) {
  case REG_PAYLOAD_SIZE: return camera_payload(c);
  case REG_TEMPERATURE: { /* warms from 35 by 7 degrees, half of it in ten minutes */
    double minutes = (double)(now - c->opened_ns) / 6e10;
    return as_bits(35.0 + 7.0 * minutes / (minutes + 10.0));
  }
  case REG_LINE_MODE: return line == 1;
  case REG_LINE_SOURCE: return line == 1 ? c->line_source : 0;
  case REG_LINE_STATUS: return level(c, line);
  case REG_LINE_STATUS_ALL: {
    uint64_t all = 0;
    for (unsigned n = 0; n < LINES; n++) all |= level(c, n) << n;
    return all;
  }
  case REG_ENCODER_VALUE: return (uint64_t)c->encoder.value;
  case REG_COUNTER_VALUE:
    if (c->reg[REG_COUNTER_SELECTOR] == 1) return c->missed;
    if (c->reg[REG_TRIGGER_SOURCE] == SOURCE_ENCODER0) return c->encoder.pulses;
    return c->wire ? __atomic_load_n(&c->wire->head, __ATOMIC_ACQUIRE) - c->wire_base : 0;
  default: return c->reg[r];
  }
}

GC_ERROR camera_read(struct camera *c, uint64_t address, void *out, size_t size) {
  if (c->lost) return fail(GC_ERR_IO, "camera %s is gone", c->serial);
  if (address >= TEXT_ADDRESS && address < TEXT_ADDRESS + TEXT_COUNT * TEXT_BYTES) {
    char text[TEXT_BYTES] = {0};
    size_t offset = (address - TEXT_ADDRESS) % TEXT_BYTES;
    if (offset + size > TEXT_BYTES) return fail(GC_ERR_INVALID_ADDRESS, "past a string's end");
    snprintf(text, sizeof text, "%s", camera_text(c, (unsigned)(address - TEXT_ADDRESS) / TEXT_BYTES));
    memcpy(out, text + offset, size);
    return GC_ERR_SUCCESS;
  }
  if (address % 8 || size != 8 || address / 8 >= REG_COUNT)
    return fail(GC_ERR_INVALID_ADDRESS, "no register at 0x%llx", (unsigned long long)address);
  encoder_follow(c);
  uint64_t value = computed(c, (unsigned)(address / 8));
  memcpy(out, &value, 8);
  return GC_ERR_SUCCESS;
}

/* The node map checks ranges too; a camera does not trust its host. */
static int legal(const struct camera *c, unsigned r, uint64_t v) {
  switch (r) {
  case REG_WIDTH: return v >= 8 && v % 2 == 0 && v + c->reg[REG_OFFSET_X] <= c->reg[REG_SENSOR_WIDTH];
  case REG_HEIGHT: return v >= 8 && v % 2 == 0 && v + c->reg[REG_OFFSET_Y] <= c->reg[REG_SENSOR_HEIGHT];
  case REG_OFFSET_X: return v % 2 == 0 && v + c->reg[REG_WIDTH] <= c->reg[REG_SENSOR_WIDTH];
  case REG_OFFSET_Y: return v % 2 == 0 && v + c->reg[REG_HEIGHT] <= c->reg[REG_SENSOR_HEIGHT];
  case REG_PIXEL_FORMAT: return v == c->reg[REG_FILM_FORMAT];
  case REG_FRAME_RATE: return as_float(v) >= 0.1 && as_float(v) <= 5000.0;
  case REG_EXPOSURE_TIME: return as_float(v) >= 10.0 && as_float(v) <= 1e6;
  case REG_GAIN: return as_float(v) >= 0.0 && as_float(v) <= 24.0;
  case REG_ACQUISITION_MODE:
  case REG_TRIGGER_ACTIVATION: return v <= 2;
  case REG_ACQUISITION_FRAME_COUNT: return v >= 1 && v <= 65535;
  case REG_TRIGGER_SELECTOR:
  case REG_ENCODER_SELECTOR: return v == 0;
  case REG_TRIGGER_SOURCE: return v <= SOURCE_ENCODER0;
  case REG_ENCODER_SOURCE_A:
  case REG_ENCODER_SOURCE_B: return v == 0 || v == LINE_A || v == LINE_B;
  case REG_ENCODER_DIVIDER: return v >= 1 && v <= 1000000;
  case REG_ENCODER_OUTPUT_MODE: return v <= 5;
  case REG_ENCODER_VALUE: return (int64_t)v >= -ENCODER_MAX && (int64_t)v <= ENCODER_MAX;
  case REG_LINE_SELECTOR: return v < LINES;
  case REG_FAULT_MODE: return v <= FAULT_VANISH;
  case REG_TRIGGER_MODE:
  case REG_ENCODER_MODE:
  case REG_COUNTER_SELECTOR:
  case REG_CHUNK_MODE_ACTIVE:
  case REG_USER_OUTPUT: return v <= 1;
  default: return 1;
  }
}

GC_ERROR camera_write(struct camera *c, uint64_t address, const void *in, size_t size) {
  if (c->lost) return fail(GC_ERR_IO, "camera %s is gone", c->serial);
  if (address % 8 || size != 8 || address / 8 >= REG_COUNT)
    return fail(GC_ERR_INVALID_ADDRESS, "no register at 0x%llx", (unsigned long long)address);
  unsigned r = (unsigned)(address / 8);
  uint64_t value;
  memcpy(&value, in, 8);
  if (!legal(c, r, value)) return fail(GC_ERR_INVALID_VALUE, "register %u refuses its value", r);
  int shape = r == REG_WIDTH || r == REG_HEIGHT || r == REG_PIXEL_FORMAT || r == REG_CHUNK_MODE_ACTIVE;
  if (shape && c->exposing) return fail(GC_ERR_ACCESS_DENIED, "locked while acquiring");
  encoder_follow(c); /* the belt has come here under the settings of before */
  switch (r) {
  case REG_SENSOR_WIDTH:
  case REG_SENSOR_HEIGHT:
  case REG_FILM_FORMAT:
  case REG_PAYLOAD_SIZE:
  case REG_TEMPERATURE:
  case REG_LINE_MODE:
  case REG_LINE_STATUS:
  case REG_LINE_STATUS_ALL:
  case REG_COUNTER_VALUE:
  case REG_TIMESTAMP_VALUE: return fail(GC_ERR_ACCESS_DENIED, "register %u is read only", r);
  case REG_ACQUISITION_START: return camera_start(c);
  case REG_ACQUISITION_STOP: camera_stop(c); return GC_ERR_SUCCESS;
  case REG_TRIGGER_SOFTWARE:
    if (c->exposing) c->software_triggers++;
    break;
  case REG_COUNTER_RESET:
    if (c->reg[REG_COUNTER_SELECTOR] == 1) c->missed = 0;
    else if (c->reg[REG_TRIGGER_SOURCE] == SOURCE_ENCODER0) c->encoder.pulses = 0;
    else if (c->wire) c->wire_base = __atomic_load_n(&c->wire->head, __ATOMIC_ACQUIRE);
    break;
  case REG_TIMESTAMP_LATCH: c->reg[REG_TIMESTAMP_VALUE] = monotonic_ns(); break;
  case REG_LINE_SOURCE:
    if (value > 2) return fail(GC_ERR_INVALID_VALUE, "no such line source");
    if (c->reg[REG_LINE_SELECTOR] != 1) return fail(GC_ERR_ACCESS_DENIED, "this line is an input");
    c->line_source = (uint8_t)value;
    break;
  case REG_TRIGGER_MODE:
  case REG_TRIGGER_SOURCE:
    c->reg[r] = value;
    c->encoder.due_count = 0;
    break;
  case REG_ENCODER_SOURCE_A:
  case REG_ENCODER_SOURCE_B:
  case REG_ENCODER_MODE:
  case REG_ENCODER_DIVIDER:
  case REG_ENCODER_OUTPUT_MODE:
    c->reg[r] = value;
    encoder_begin(c, c->encoder.value);
    break;
  case REG_ENCODER_VALUE: encoder_begin(c, (int64_t)value); break;
  case REG_ENCODER_RESET: encoder_begin(c, 0); break;
  default: c->reg[r] = value;
  }
  pthread_cond_broadcast(&c->changed);
  return GC_ERR_SUCCESS;
}
