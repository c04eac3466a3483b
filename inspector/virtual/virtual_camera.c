/* A virtual camera: film and exposure. See virtual_camera.h. */
#define _GNU_SOURCE
#include "virtual_camera.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

pthread_mutex_t producer_lock = PTHREAD_MUTEX_INITIALIZER;

/* The film's header is that of film.py. */
struct film_header {
  char magic[8];
  uint32_t version, width, height, pixel_format, frame_count, frame_bytes;
  uint64_t data_offset;
};
enum { FILM_HEADER_BYTES = 4096, PACKET_BYTES = 1400 /* of a picture, in one packet of GigE Vision */ };

enum { CHUNK_BYTES = 32 };
struct chunk {
  uint64_t frame_id, timestamp_ns, counter;
  double exposure_us;
};

uint64_t monotonic_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct timespec as_timespec(uint64_t ns) {
  return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

struct buffer *fifo_pop(struct fifo *f) {
  if (f->count == 0) return NULL;
  struct buffer *b = f->item[f->head];
  f->head = (f->head + 1) % BUFFERS_MAX;
  f->count--;
  return b;
}

int fifo_push(struct fifo *f, struct buffer *b) {
  if (f->count == BUFFERS_MAX) return 0;
  f->item[(f->head + f->count++) % BUFFERS_MAX] = b;
  return 1;
}

/* PFNC codes carry the bits per pixel in bits 16..23. */
static size_t picture_bytes(uint32_t pixel_format, uint64_t width, uint64_t height) {
  return (size_t)(width * height * (pixel_format >> 16 & 0xff) + 7) / 8;
}

static size_t image_bytes(const struct camera *c) {
  return picture_bytes((uint32_t)c->reg[REG_PIXEL_FORMAT], c->reg[REG_WIDTH], c->reg[REG_HEIGHT]);
}

/* Chunks follow the picture, 8-byte aligned. */
size_t camera_payload(const struct camera *c) {
  size_t image = image_bytes(c);
  return c->reg[REG_CHUNK_MODE_ACTIVE] ? (image + 7) / 8 * 8 + CHUNK_BYTES : image;
}

const char *camera_text(const struct camera *c, unsigned which) {
  const char *texts[TEXT_COUNT] = {"Inspector", "Virtual camera", c->serial, c->user_id, "1.0"};
  return which < TEXT_COUNT ? texts[which] : "";
}

/* ---- opening: film, and the claim that makes a second opener "busy" ---- */

static GC_ERROR map_film(struct camera *c) {
  int fd = open(c->film_path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(GC_ERR_IO, "film %s: %s", c->film_path, strerror(errno));
  struct stat st;
  struct film_header h;
  GC_ERROR error = GC_ERR_SUCCESS;
  if (fstat(fd, &st) || pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h ||
      memcmp(h.magic, "INSPFILM", 8) != 0 || h.version != 1)
    error = fail(GC_ERR_IO, "film %s: not a film of version 1", c->film_path);
  else if (h.frame_count == 0 || h.data_offset != FILM_HEADER_BYTES ||
           h.frame_bytes != picture_bytes(h.pixel_format, h.width, h.height) ||
           (uint64_t)st.st_size != h.data_offset + (uint64_t)h.frame_count * h.frame_bytes)
    error = fail(GC_ERR_IO, "film %s: its size, %lld bytes, does not match its header",
                 c->film_path, (long long)st.st_size);
  if (error == GC_ERR_SUCCESS) {
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
      error = fail(GC_ERR_IO, "film %s: %s", c->film_path, strerror(errno));
    else
      c->film = p;
  }
  close(fd);
  if (error) return error;
  c->film_bytes = (size_t)st.st_size;
  c->film_frame_bytes = h.frame_bytes;
  c->film_frames = h.frame_count;
  c->reg[REG_SENSOR_WIDTH] = c->reg[REG_WIDTH] = h.width;
  c->reg[REG_SENSOR_HEIGHT] = c->reg[REG_HEIGHT] = h.height;
  c->reg[REG_FILM_FORMAT] = c->reg[REG_PIXEL_FORMAT] = h.pixel_format;
  return GC_ERR_SUCCESS;
}

/* An abstract socket is the claim: every process sees it, and it goes with its owner. The film's
 * path is part of the name because two lines of one machine may use the same serial numbers. */
static socklen_t claim_name(const struct camera *c, struct sockaddr_un *a) {
  uint64_t hash = 14695981039346656037ull; /* FNV-1a */
  for (const char *s = c->film_path; *s; s++) hash = (hash ^ (uint8_t)*s) * 1099511628211ull;
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  int n = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "inspector-camera-%s-%016llx",
                   c->serial, (unsigned long long)hash);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static GC_ERROR claim(struct camera *c) {
  struct sockaddr_un a;
  socklen_t n = claim_name(c, &a);
  int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s >= 0 && bind(s, (struct sockaddr *)&a, n) == 0) {
    c->lock_socket = s;
    return GC_ERR_SUCCESS;
  }
  if (s >= 0) close(s);
  return fail(GC_ERR_RESOURCE_IN_USE, "camera %s is open elsewhere", c->serial);
}

int camera_busy(const struct camera *c) {
  if (c->opened) return 1;
  struct sockaddr_un a;
  socklen_t n = claim_name(c, &a);
  int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (s < 0) return 0;
  int busy = connect(s, (struct sockaddr *)&a, n) == 0;
  close(s);
  return busy;
}

int camera_present(const struct camera *c) { return monotonic_ns() >= c->absent_until_ns; }

static void unmap(struct camera *c) {
  if (c->film) munmap((void *)c->film, c->film_bytes);
  if (c->wire) munmap((void *)c->wire, WIRE_BYTES);
  if (c->lock_socket >= 0) close(c->lock_socket);
  c->film = NULL;
  c->wire = NULL;
  c->lock_socket = -1;
}

GC_ERROR camera_open(struct camera *c) {
  if (!camera_present(c)) return fail(GC_ERR_NOT_AVAILABLE, "camera %s is unplugged", c->serial);
  if (c->opened) return fail(GC_ERR_RESOURCE_IN_USE, "camera %s is open already", c->serial);
  memset(c->reg, 0, sizeof c->reg);
  memset(&c->encoder, 0, sizeof c->encoder);
  c->line_source = 0;
  c->lock_socket = -1;
  GC_ERROR error = claim(c);
  if (!error) error = map_film(c);
  if (!error) error = wire_open(c);
  if (error) {
    unmap(c);
    return error;
  }
  c->reg[REG_ACQUISITION_FRAME_COUNT] = 1;
  c->reg[REG_CHUNK_MODE_ACTIVE] = 0;
  c->reg[REG_EXPOSURE_TIME] = as_bits(500.0);
  c->reg[REG_FRAME_RATE] = as_bits(30.0);
  c->reg[REG_ENCODER_SOURCE_A] = LINE_A;
  c->reg[REG_ENCODER_SOURCE_B] = LINE_B;
  c->reg[REG_ENCODER_DIVIDER] = 1;
  c->frame_id = c->next_picture = c->last_picture = 0;
  c->delivered = c->started = c->underruns = c->missed = 0;
  c->lost = c->software_triggers = 0;
  c->opened_ns = monotonic_ns();
  c->opened = 1;
  return GC_ERR_SUCCESS;
}

void camera_close(struct camera *c) {
  camera_stop(c);
  unmap(c);
  c->opened = 0;
}

/* ---- exposure ---- */

void camera_lose(struct camera *c, uint32_t ms, int silent) {
  c->lost = silent ? FAULT_VANISH : FAULT_DISCONNECT;
  c->absent_until_ns = monotonic_ns() + (uint64_t)ms * 1000000u;
  pthread_cond_broadcast(&c->filled);
}

static void wait_until(struct camera *c, uint64_t ns) {
  struct timespec t = as_timespec(ns);
  pthread_cond_timedwait(&c->changed, &producer_lock, &t);
}

static int next_shot(struct camera *c, struct shot *shot) {
  uint64_t now = monotonic_ns();
  int wired = c->reg[REG_TRIGGER_MODE] && c->reg[REG_TRIGGER_SOURCE] != SOURCE_SOFTWARE;
  if (c->lost || c->pictures_left == 0 || (wired && !c->wire)) {
    wait_until(c, now + 200000000u);
    return 0;
  }
  if (wired) {
    int encoder = c->reg[REG_TRIGGER_SOURCE] == SOURCE_ENCODER0;
    if (!(encoder ? wire_next_turn(c, shot) : wire_next_pulse(c, shot))) return 0;
  } else if (c->reg[REG_TRIGGER_MODE]) {
    if (c->software_triggers == 0) {
      wait_until(c, now + 200000000u);
      return 0;
    }
    c->software_triggers--;
    *shot = (struct shot){.picture = c->next_picture++, .t_ns = now};
  } else {
    if (now < c->next_free_ns) {
      wait_until(c, c->next_free_ns);
      return 0;
    }
    double period_ns = 1e9 / as_float(c->reg[REG_FRAME_RATE]);
    c->next_free_ns += (uint64_t)period_ns;
    if (c->next_free_ns < now) c->next_free_ns = now; /* behind: no burst to catch up */
    *shot = (struct shot){.picture = c->next_picture++, .t_ns = now};
  }
  if (shot->fault == FAULT_NONE && c->reg[REG_FAULT_COUNT] > 0) {
    c->reg[REG_FAULT_COUNT]--;
    shot->fault = (uint32_t)c->reg[REG_FAULT_MODE];
    shot->argument = (uint32_t)c->reg[REG_FAULT_ARGUMENT];
  }
  return 1;
}

/* Copies the region of interest; the caller holds no lock, the buffer is out of every queue. */
static void copy_picture(struct buffer *b, const uint8_t *picture, size_t sensor_width, int lines) {
  size_t bits = b->pixel_format >> 16 & 0xff;
  size_t row = sensor_width * bits / 8, width = b->width * bits / 8;
  const uint8_t *from = picture + b->offset_y * row + b->offset_x * bits / 8;
  if (width == row) {
    memcpy(b->base, from, width * (size_t)lines);
    return;
  }
  for (int y = 0; y < lines; y++) memcpy(b->base + (size_t)y * width, from + (size_t)y * row, width);
}

static void take_picture(struct camera *c, const struct shot *shot) {
  switch (shot->fault) {
  case FAULT_DISCONNECT:
  case FAULT_VANISH: camera_lose(c, shot->argument, shot->fault == FAULT_VANISH); return;
  case FAULT_MISS_TRIGGER: c->missed++; return;
  case FAULT_DELAY:
    for (uint64_t until = monotonic_ns() + (uint64_t)shot->argument * 1000000u;
         !c->stop && monotonic_ns() < until;)
      wait_until(c, until);
    break;
  default: break;
  }
  uint64_t frame_id = ++c->frame_id;
  uint64_t picture = shot->picture < EMPTY_BELT ? shot->picture % c->film_frames : shot->picture;
  if (shot->fault == FAULT_FREEZE) picture = c->last_picture;
  c->last_picture = picture;
  c->pictures_left--;
  c->started++;
  if (shot->fault == FAULT_DROP) return;
  struct buffer *b = fifo_pop(&c->input);
  if (!b) {
    c->underruns++;
    return;
  }
  b->frame_id = frame_id;
  b->timestamp_ns = shot->t_ns;
  b->pixel_format = (uint32_t)c->reg[REG_PIXEL_FORMAT];
  b->width = (uint32_t)c->reg[REG_WIDTH];
  b->height = (uint32_t)c->reg[REG_HEIGHT] / (shot->fault == FAULT_WRONG_SIZE ? 2 : 1);
  b->offset_x = (uint32_t)c->reg[REG_OFFSET_X];
  b->offset_y = (uint32_t)c->reg[REG_OFFSET_Y];
  b->incomplete = shot->fault == FAULT_INCOMPLETE || b->size < camera_payload(c);
  b->has_chunks = c->reg[REG_CHUNK_MODE_ACTIVE] && !b->incomplete;
  b->image_bytes = picture_bytes(b->pixel_format, b->width, b->height);
  b->filled = b->image_bytes;
  int lines = (int)b->height / (b->incomplete ? 2 : 1);
  if (b->incomplete) b->filled = picture_bytes(b->pixel_format, b->width, (uint64_t)lines);
  if (b->filled > b->size) lines = 0, b->filled = 0;
  c->lost_packets += (b->image_bytes - b->filled + PACKET_BYTES - 1) / PACKET_BYTES;
  struct chunk chunk = {frame_id, b->timestamp_ns, shot->edge, as_float(c->reg[REG_EXPOSURE_TIME])};
  int empty = picture >= EMPTY_BELT;
  const uint8_t *from = c->film + FILM_HEADER_BYTES + (empty ? 0 : picture * c->film_frame_bytes);
  size_t sensor_width = c->reg[REG_SENSOR_WIDTH];
  b->filling = 1;
  pthread_mutex_unlock(&producer_lock);
  if (empty) memset(b->base, (int)(picture & 0x7f), b->filled);
  else copy_picture(b, from, sensor_width, lines);
  if (b->has_chunks) memcpy(b->base + (b->image_bytes + 7) / 8 * 8, &chunk, sizeof chunk);
  pthread_mutex_lock(&producer_lock);
  b->filling = 0;
  b->fresh = 1;
  if (b->has_chunks) b->filled = (b->image_bytes + 7) / 8 * 8 + CHUNK_BYTES;
  if (c->lost) return;
  fifo_push(&c->output, b);
  c->delivered++;
  pthread_cond_signal(&c->filled);
}

static void *expose(void *arg) {
  struct camera *c = arg;
  struct shot shot;
  pthread_mutex_lock(&producer_lock);
  while (!c->stop)
    if (next_shot(c, &shot)) take_picture(c, &shot);
  pthread_mutex_unlock(&producer_lock);
  return NULL;
}

GC_ERROR camera_start(struct camera *c) {
  if (c->exposing) return GC_ERR_SUCCESS;
  uint64_t mode = c->reg[REG_ACQUISITION_MODE]; /* SingleFrame, MultiFrame, Continuous */
  c->pictures_left = mode == 2 ? UINT64_MAX : mode == 1 ? c->reg[REG_ACQUISITION_FRAME_COUNT] : 1;
  c->stop = 0;
  c->software_triggers = 0;
  c->next_free_ns = monotonic_ns();
  if (c->wire) c->wire_seen = __atomic_load_n(&c->wire->head, __ATOMIC_ACQUIRE);
  encoder_follow(c); /* what the belt did before exposes nothing */
  c->encoder.due_count = 0;
  if (pthread_create(&c->exposer, NULL, expose, c))
    return fail(GC_ERR_RESOURCE_EXHAUSTED, "no thread for camera %s", c->serial);
  c->exposing = 1;
  return GC_ERR_SUCCESS;
}

void camera_stop(struct camera *c) {
  while (c->joining) pthread_cond_wait(&c->changed, &producer_lock); /* buffers may go after this */
  if (!c->exposing) return;
  c->joining = c->stop = 1;
  pthread_cond_broadcast(&c->changed);
  pthread_t exposer = c->exposer;
  const struct wire *wire = c->wire;
  pthread_mutex_unlock(&producer_lock);
  wire_wake(wire);
  pthread_join(exposer, NULL);
  pthread_mutex_lock(&producer_lock);
  c->exposing = c->joining = 0;
  pthread_cond_broadcast(&c->changed);
}

GC_ERROR camera_wait_output(struct camera *c, uint64_t timeout_ms, struct buffer **out) {
  uint64_t now = monotonic_ns();
  int forever = timeout_ms > 1000000000u;
  struct timespec limit = as_timespec(now + (forever ? 0 : timeout_ms * 1000000u));
  for (;;) {
    if (c->kills > 0) {
      c->kills--;
      return fail(GC_ERR_ABORT, "the wait was killed");
    }
    if (!c->event_registered) return fail(GC_ERR_INVALID_HANDLE, "the event is unregistered");
    if ((*out = fifo_pop(&c->output))) return GC_ERR_SUCCESS;
    if (c->lost == FAULT_DISCONNECT) return fail(GC_ERR_IO, "camera %s is gone", c->serial);
    int rc = forever ? pthread_cond_wait(&c->filled, &producer_lock)
                     : pthread_cond_timedwait(&c->filled, &producer_lock, &limit);
    if (rc == ETIMEDOUT && c->output.count == 0) return GC_ERR_TIMEOUT;
  }
}
