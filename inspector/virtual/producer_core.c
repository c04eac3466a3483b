/* The producer's state, handles and answers. See producer.h. */
#include "producer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct camera cameras[CAMERAS_MAX];
unsigned camera_count;
int initialised, system_open, interface_open;
char system_handle, interface_handle;
_Thread_local GC_ERROR last_error;
_Thread_local char last_text[PATH_BYTES + 128];

GC_ERROR fail(GC_ERROR code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(last_text, sizeof last_text, format, args);
  va_end(args);
  return last_error = code;
}

#define FINDER(name, member)                                                                       \
  struct camera *name(const void *handle) {                                                        \
    for (unsigned i = 0; i < camera_count; i++)                                                    \
      if (handle == (const void *)&cameras[i].member && cameras[i].opened) return &cameras[i];     \
    fail(GC_ERR_INVALID_HANDLE, "not a handle of this producer");                                  \
    return NULL;                                                                                   \
  }
FINDER(device_of, opened)
FINDER(port_of, reg)
static FINDER(stream_of_handle, stream_open)
FINDER(event_of, event_registered)

struct camera *stream_of(const void *handle) {
  struct camera *c = stream_of_handle(handle);
  if (c && c->stream_open) return c;
  fail(GC_ERR_INVALID_HANDLE, "not an open stream");
  return NULL;
}

struct buffer *buffer_of(struct camera *c, const void *handle) {
  for (unsigned i = 0; i < BUFFERS_MAX; i++)
    if (handle == &c->buffers[i] && c->buffers[i].announced) return &c->buffers[i];
  fail(GC_ERR_INVALID_BUFFER, "not an announced buffer");
  return NULL;
}

GC_ERROR put(INFO_DATATYPE *type, void *out, size_t *size, INFO_DATATYPE t, const void *from,
                    size_t n) {
  if (!size) return fail(GC_ERR_INVALID_PARAMETER, "no size");
  if (type) *type = t;
  if (out && *size < n) return fail(GC_ERR_BUFFER_TOO_SMALL, "%zu bytes are needed", n);
  if (out) memcpy(out, from, n);
  *size = n;
  return GC_ERR_SUCCESS;
}

GC_ERROR put_text(INFO_DATATYPE *type, void *out, size_t *size, const char *text) {
  return put(type, out, size, INFO_DATATYPE_STRING, text, strlen(text) + 1);
}
GC_ERROR put_bool(INFO_DATATYPE *type, void *out, size_t *size, int value) {
  bool8_t v = value != 0;
  return put(type, out, size, INFO_DATATYPE_BOOL8, &v, sizeof v);
}
GC_ERROR put_i32(INFO_DATATYPE *type, void *out, size_t *size, int32_t v) {
  return put(type, out, size, INFO_DATATYPE_INT32, &v, sizeof v);
}
GC_ERROR put_u32(INFO_DATATYPE *type, void *out, size_t *size, uint32_t v) {
  return put(type, out, size, INFO_DATATYPE_UINT32, &v, sizeof v);
}
GC_ERROR put_u64(INFO_DATATYPE *type, void *out, size_t *size, uint64_t v) {
  return put(type, out, size, INFO_DATATYPE_UINT64, &v, sizeof v);
}
GC_ERROR put_size(INFO_DATATYPE *type, void *out, size_t *size, size_t v) {
  return put(type, out, size, INFO_DATATYPE_SIZET, &v, sizeof v);
}
GC_ERROR put_ptr(INFO_DATATYPE *type, void *out, size_t *size, void *v) {
  return put(type, out, size, INFO_DATATYPE_PTR, &v, sizeof v);
}
GC_ERROR unknown(INFO_CMD cmd) {
  return fail(GC_ERR_NOT_IMPLEMENTED, "this producer does not answer command %d", (int)cmd);
}
