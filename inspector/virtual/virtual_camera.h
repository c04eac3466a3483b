/* One virtual camera: a film in place of a sensor, a wire in place of Line0.
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
  REG_COUNT
};
enum { TEXT_ADDRESS = 0x1000, TEXT_BYTES = 64, TEXT_COUNT = 5, XML_ADDRESS = 0x100000 };

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
enum { WIRE_BYTES = 8192, WIRE_ENTRIES = 64, LINES = 8 };
struct pulse {
  uint64_t number, frame_index, t_ns;
  uint32_t fault, argument;
  uint8_t pad[32];
};
struct wire {
  uint64_t magic;
  uint32_t futex, inputs; /* inputs: the level of Line n in bit n, from Line2 on */
  uint64_t head;
  uint8_t pad2[40];
  struct pulse entry[WIRE_ENTRIES];
};
_Static_assert(sizeof(struct pulse) == 64, "wire.py packs 64-byte entries");
_Static_assert(offsetof(struct wire, entry) == 64, "wire.py puts the entries at 64");

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
