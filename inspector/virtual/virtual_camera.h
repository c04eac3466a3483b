/* One virtual camera: a film in place of a sensor, a wire in place of Line0 and of the encoder.
 *
 * producer.c translates the GenTL interface into calls of these functions. One lock guards all
 * of it: a process rarely opens more than one camera, and the copy of a picture is done outside. */
#ifndef INSPECTOR_VIRTUAL_CAMERA_H
#define INSPECTOR_VIRTUAL_CAMERA_H

#include "gentl.h"
#include <pthread.h>
#include <string.h>

enum { CAMERAS_MAX = 16, BUFFERS_MAX = 256, NAME_BYTES = 64, PATH_BYTES = 1024 };

/* Register n lies at address 8 n of the device's port; producer.xml names them for GenApi. */
enum register_index {
  REG_SENSOR_WIDTH,
  REG_SENSOR_HEIGHT,
  REG_WIDTH,
  REG_HEIGHT,
  REG_OFFSET_X,
  REG_OFFSET_Y,
  REG_PIXEL_FORMAT,
  REG_FILM_FORMAT,
  REG_PAYLOAD_SIZE,
  REG_ACQUISITION_MODE,
  REG_ACQUISITION_FRAME_COUNT,
  REG_ACQUISITION_START,
  REG_ACQUISITION_STOP,
  REG_TRIGGER_SELECTOR,
  REG_TRIGGER_MODE,
  REG_TRIGGER_SOURCE,
  REG_TRIGGER_ACTIVATION,
  REG_TRIGGER_SOFTWARE,
  REG_EXPOSURE_TIME,
  REG_GAIN,
  REG_FRAME_RATE,
  REG_TEMPERATURE,
  REG_LINE_SELECTOR,
  REG_LINE_MODE,
  REG_LINE_SOURCE,
  REG_LINE_STATUS,
  REG_COUNTER_SELECTOR,
  REG_COUNTER_VALUE,
  REG_COUNTER_RESET,
  REG_CHUNK_MODE_ACTIVE,
  REG_TL_PARAMS_LOCKED,
  REG_TIMESTAMP_LATCH,
  REG_TIMESTAMP_VALUE,
  REG_USER_OUTPUT,
  REG_FAULT_MODE,
  REG_FAULT_ARGUMENT,
  REG_FAULT_COUNT,
  REG_LINE_STATUS_ALL,
  REG_ENCODER_SELECTOR,
  REG_ENCODER_SOURCE_A,
  REG_ENCODER_SOURCE_B,
  REG_ENCODER_MODE,
  REG_ENCODER_DIVIDER,
  REG_ENCODER_OUTPUT_MODE,
  REG_ENCODER_VALUE,
  REG_ENCODER_RESET,
  REG_COUNT
};
enum { TEXT_ADDRESS = 0x1000, TEXT_BYTES = 64, TEXT_COUNT = 5, XML_ADDRESS = 0x100000 };

enum trigger_source { SOURCE_SOFTWARE, SOURCE_LINE0, SOURCE_ENCODER0 };

/* The wire's fault codes; FaultMode of the node map has the same numbers. */
enum fault {
  FAULT_NONE,
  FAULT_DROP,         /* exposed, but no buffer comes */
  FAULT_INCOMPLETE,   /* half of the picture comes */
  FAULT_DELAY,        /* the buffer comes `argument` ms late */
  FAULT_FREEZE,       /* the previous picture comes again */
  FAULT_DISCONNECT,   /* gone for `argument` ms, and the stream says so */
  FAULT_WRONG_SIZE,   /* half the lines, as if the camera had been reconfigured */
  FAULT_MISS_TRIGGER, /* the edge is counted, nothing is exposed */
  FAULT_VANISH        /* gone for `argument` ms without a word, as a pulled network cable is */
};

struct buffer {
  uint8_t *base;
  size_t size;
  void *user;
  int announced, owned, filling, fresh;
  size_t image_bytes, filled;
  uint64_t frame_id, timestamp_ns;
  uint32_t width, height, offset_x, offset_y, pixel_format;
  int incomplete, has_chunks;
};

struct fifo {
  struct buffer *item[BUFFERS_MAX];
  unsigned head, count;
};

#define WIRE_MAGIC 0x0045524957504e49ull /* "INPWIRE" */
enum { WIRE_BYTES = 8192, WIRE_ENTRIES = 64, WIRE_TURNS = 128 };
enum { LINES = 10, LINE_A = 8, LINE_B = 9 /* the encoder's two channels */ };
struct pulse {
  uint64_t number, frame_index, t_ns;
  uint32_t fault, argument;
  uint8_t pad[32];
};
struct turn { /* where the belt's encoder stood, and which picture lay before the cameras, if any */
  uint64_t number, t_ns;
  uint32_t count, picture;
};
#define NO_PICTURE UINT32_MAX
#define EMPTY_BELT (1ull << 32) /* from here on a picture is of an empty belt, no two alike */
struct wire {
  uint64_t magic;
  uint32_t futex, inputs; /* inputs: the level of Line n in bit n, Line2 to Line7 */
  uint64_t head, turns;   /* the newest pulse's number, and the newest turn's */
  uint32_t turn_futex;
  uint8_t pad[28];
  struct pulse entry[WIRE_ENTRIES];
  struct turn turn[WIRE_TURNS];
};
_Static_assert(sizeof(struct pulse) == 64, "wire.py packs 64-byte entries");
_Static_assert(sizeof(struct turn) == 24, "wire.py packs 24-byte turns");
_Static_assert(offsetof(struct wire, entry) == 64, "wire.py puts the entries at 64");
_Static_assert(offsetof(struct wire, turn) == 4160, "wire.py puts the turns at 4160");
_Static_assert(sizeof(struct wire) <= WIRE_BYTES, "wire.py makes this many bytes");

struct shot { /* what to take a picture of, and how it goes wrong */
  uint64_t picture, t_ns, edge;
  uint32_t fault, argument;
};

#define ENCODER_MAX (1ll << 62)
enum { DUE_MAX = 64 };
struct encoder { /* Encoder0: virtual_encoder.c */
  uint64_t seen, t_ns; /* the newest turn that was followed, and when it was; 0: none yet */
  uint32_t count;      /* the world's, at that turn */
  int64_t value;       /* EncoderValue */
  int64_t rest;        /* edges of a quadrature cycle that is not whole yet */
  int64_t furthest;    /* PositionUp, PositionDown: nothing counts before this is passed */
  uint64_t steps;      /* of EncoderDivider, since the last output pulse */
  uint64_t pulses;     /* given so far; Counter0 while they are the trigger */
  struct shot due[DUE_MAX]; /* pulses that wait for their exposure, the oldest first */
  unsigned due_first, due_count;
};

struct camera {
  char serial[NAME_BYTES], user_id[NAME_BYTES], film_path[PATH_BYTES], wire_path[PATH_BYTES];
  uint32_t ip;              /* host order; 0: it has none */
  int index;                /* its line in the list of devices, and its bit in a fault's mask */
  uint64_t absent_until_ns; /* a disconnect outlives the handle, as a pulled cable does */

  int opened, lost, lock_socket; /* lost: the session is over, only closing is left */
  uint64_t opened_ns;
  const uint8_t *film;
  size_t film_bytes, film_frame_bytes;
  uint32_t film_frames;
  const struct wire *wire;
  uint64_t wire_inode;
  uint64_t wire_base, wire_seen; /* pulse numbers: at opening, last handled */
  uint64_t reg[REG_COUNT];
  uint8_t line_source; /* of Line1 */
  struct encoder encoder;

  int stream_open, streaming, event_registered, kills;
  struct buffer buffers[BUFFERS_MAX];
  struct fifo input, output;
  pthread_cond_t filled; /* a buffer waits in output, or the wait is off */
  uint64_t delivered, started, underruns, missed, lost_packets;

  int exposing, stop, joining;
  pthread_t exposer;
  pthread_cond_t changed; /* a register, a software trigger, a queue or `stop` */
  unsigned software_triggers;
  uint64_t frame_id, next_picture, last_picture, next_free_ns, pictures_left;
};

#pragma GCC visibility push(hidden) /* only the GenTL functions leave the library */
extern pthread_mutex_t producer_lock;

/* All of these are called with producer_lock held; those that wait release it meanwhile. */
uint64_t monotonic_ns(void);
GC_ERROR fail(GC_ERROR code, const char *format, ...) __attribute__((format(printf, 2, 3)));
GC_ERROR camera_open(struct camera *c);
void camera_close(struct camera *c);
int camera_present(const struct camera *c);
int camera_busy(const struct camera *c);
size_t camera_payload(const struct camera *c);
const char *camera_text(const struct camera *c, unsigned which);
GC_ERROR camera_read(struct camera *c, uint64_t address, void *out, size_t size);
GC_ERROR camera_write(struct camera *c, uint64_t address, const void *in, size_t size);
GC_ERROR camera_start(struct camera *c);
void camera_stop(struct camera *c);
GC_ERROR camera_wait_output(struct camera *c, uint64_t timeout_ms, struct buffer **out);
void camera_lose(struct camera *c, uint32_t ms, int silent);
GC_ERROR wire_open(struct camera *c);
/* The next exposure that Line0, or the encoder, asks for; 0 after at most 200 ms without one. */
int wire_next_pulse(struct camera *c, struct shot *shot);
int wire_next_turn(struct camera *c, struct shot *shot);
void wire_wake(const struct wire *wire); /* ends the waits for those */
/* Follows the belt up to now; pulses are due for exposure only while they are the trigger. */
void encoder_follow(struct camera *c);
/* Begins anew at `value`: no way towards the next pulse is behind it, and none was passed. */
void encoder_begin(struct camera *c, int64_t value);
int encoder_due(struct camera *c, struct shot *shot);
uint32_t encoder_count(const struct camera *c); /* the world's, now */
struct buffer *fifo_pop(struct fifo *f);
int fifo_push(struct fifo *f, struct buffer *b);
static inline double as_float(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint64_t as_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
#pragma GCC visibility pop

#endif
