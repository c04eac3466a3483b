/* A virtual camera's end of the wire, on which the world tells pulses and turns: the layout is that
 * of wire.py. See virtual_camera.h. */
#define _GNU_SOURCE
#include "virtual_camera.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

GC_ERROR wire_open(struct camera *c) {
  if (!c->wire_path[0]) return GC_ERR_SUCCESS;
  int fd = open(c->wire_path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(GC_ERR_IO, "wire %s: %s", c->wire_path, strerror(errno));
  struct stat st;
  void *p = MAP_FAILED;
  if (!fstat(fd, &st) && st.st_size == WIRE_BYTES)
    p = mmap(NULL, WIRE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  if (p == MAP_FAILED) return fail(GC_ERR_IO, "wire %s: not a wire", c->wire_path);
  c->wire = p;
  c->wire_inode = st.st_ino;
  if (c->wire->magic != WIRE_MAGIC) return fail(GC_ERR_IO, "wire %s: not a wire", c->wire_path);
  c->wire_base = c->wire_seen = __atomic_load_n(&c->wire->head, __ATOMIC_ACQUIRE);
  encoder_follow(c); /* with no channel wired yet: where it stands is its beginning */
  return GC_ERR_SUCCESS;
}

/* Sleeps until the world raises `futex`, a word of the wire, beyond `known`. The wait also ends when
 * `camera_stop` wakes it, and after 200 ms, so that a change of TriggerSource is noticed. */
static void wait_on_wire(struct camera *c, const uint32_t *futex, uint32_t known) {
  struct timespec limit = {0, 200000000};
  pthread_mutex_unlock(&producer_lock);
  errno = 0;
  syscall(SYS_futex, futex, FUTEX_WAIT, known, &limit, NULL, 0);
  struct stat st;
  int replaced = errno == ETIMEDOUT && !stat(c->wire_path, &st) && st.st_ino != c->wire_inode;
  pthread_mutex_lock(&producer_lock);
  if (replaced) camera_lose(c, 0, 0); /* the world began anew: whoever opens us again is on its wire */
}

int wire_next_pulse(struct camera *c, struct shot *shot) {
  uint32_t futex = __atomic_load_n(&c->wire->futex, __ATOMIC_ACQUIRE);
  uint64_t head = __atomic_load_n(&c->wire->head, __ATOMIC_ACQUIRE);
  if (head == c->wire_seen) {
    wait_on_wire(c, &c->wire->futex, futex);
    return 0;
  }
  if (head < c->wire_seen) { /* the world started the wire anew */
    c->wire_base = c->wire_seen = 0;
  }
  if (head - c->wire_seen > WIRE_ENTRIES) { /* overwritten: these edges came and went unserved */
    c->missed += head - WIRE_ENTRIES - c->wire_seen;
    c->wire_seen = head - WIRE_ENTRIES;
  }
  uint64_t number = ++c->wire_seen;
  const struct pulse *told = &c->wire->entry[(number - 1) % WIRE_ENTRIES];
  struct pulse p = *told;
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if (__atomic_load_n(&told->number, __ATOMIC_RELAXED) != number) { /* overwritten while it was read */
    c->missed++;
    return 0;
  }
  uint32_t mask = p.fault >> 8 & 0xff;
  int mine = mask == 0 || (c->index < 8 && mask >> c->index & 1);
  *shot = (struct shot){p.frame_index, p.t_ns, number - c->wire_base,
                        mine ? p.fault & 0xff : FAULT_NONE, p.argument};
  return 1;
}

int wire_next_turn(struct camera *c, struct shot *shot) {
  uint32_t futex = __atomic_load_n(&c->wire->turn_futex, __ATOMIC_ACQUIRE);
  encoder_follow(c);
  if (encoder_due(c, shot)) return 1;
  wait_on_wire(c, &c->wire->turn_futex, futex);
  return 0;
}

void wire_wake(const struct wire *wire) {
  if (!wire) return;
  syscall(SYS_futex, &wire->futex, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
  syscall(SYS_futex, &wire->turn_futex, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
