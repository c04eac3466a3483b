/* Data streams, their buffers and the event that a buffer is filled. See producer.h. */
#include "producer.h"

#include <stdlib.h>
#include <string.h>

/* Frees what the stream holds and ends its waits; a camera that closes takes its stream along. */
void drop_stream(struct camera *c) {
  camera_stop(c);
  for (unsigned i = 0; i < BUFFERS_MAX; i++)
    if (c->buffers[i].owned) free(c->buffers[i].base);
  memset(c->buffers, 0, sizeof c->buffers);
  c->input.count = c->output.count = 0;
  c->stream_open = c->streaming = c->event_registered = 0;
  pthread_cond_broadcast(&c->filled);
}

static GC_ERROR announce(DS_HANDLE h, void *base, size_t size, void *user, BUFFER_HANDLE *out) {
  struct camera *c = stream_of(h);
  if (!c) return last_error;
  if (!out || !size) return fail(GC_ERR_INVALID_PARAMETER, "no buffer");
  for (unsigned i = 0; i < BUFFERS_MAX; i++) {
    struct buffer *b = &c->buffers[i];
    if (b->announced) continue;
    memset(b, 0, sizeof *b);
    b->owned = base == NULL;
    b->base = base ? base : malloc(size);
    if (!b->base) return fail(GC_ERR_OUT_OF_MEMORY, "no memory for a buffer");
    b->size = size;
    b->user = user;
    b->announced = 1;
    *out = b;
    return GC_ERR_SUCCESS;
  }
  return fail(GC_ERR_RESOURCE_EXHAUSTED, "more than %d buffers", BUFFERS_MAX);
}
static int forget(struct fifo *f, const struct buffer *b) {
  int found = 0;
  for (unsigned n = f->count; n > 0; n--) {
    struct buffer *item = fifo_pop(f);
    if (item == b) found = 1;
    else fifo_push(f, item);
  }
  return found;
}
static GC_ERROR revoke(DS_HANDLE h, BUFFER_HANDLE handle, void **base, void **user) {
  struct camera *c = stream_of(h);
  struct buffer *b = c ? buffer_of(c, handle) : NULL;
  if (!b) return last_error;
  if (b->filling) return fail(GC_ERR_BUSY, "the buffer is being filled");
  forget(&c->input, b);
  forget(&c->output, b);
  if (base) *base = b->owned ? NULL : b->base;
  if (user) *user = b->user;
  if (b->owned) free(b->base);
  memset(b, 0, sizeof *b);
  return GC_ERR_SUCCESS;
}
static GC_ERROR queue(DS_HANDLE h, BUFFER_HANDLE handle) {
  struct camera *c = stream_of(h);
  struct buffer *b = c ? buffer_of(c, handle) : NULL;
  if (!b) return last_error;
  forget(&c->input, b);
  b->fresh = 0;
  fifo_push(&c->input, b);
  pthread_cond_signal(&c->changed);
  return GC_ERR_SUCCESS;
}
static GC_ERROR flush(DS_HANDLE h, int32_t which) {
  struct camera *c = stream_of(h);
  if (!c) return last_error;
  struct buffer *b;
  switch (which) {
  case ACQ_QUEUE_OUTPUT_DISCARD: c->output.count = 0; break;
  case ACQ_QUEUE_ALL_DISCARD: c->input.count = c->output.count = 0; break;
  case ACQ_QUEUE_INPUT_TO_OUTPUT:
    while ((b = fifo_pop(&c->input))) fifo_push(&c->output, b);
    pthread_cond_broadcast(&c->filled);
    break;
  case ACQ_QUEUE_ALL_TO_INPUT:
  case ACQ_QUEUE_UNQUEUED_TO_INPUT:
    if (which == ACQ_QUEUE_ALL_TO_INPUT) c->output.count = 0;
    for (unsigned i = 0; i < BUFFERS_MAX; i++) {
      b = &c->buffers[i];
      if (!b->announced || b->filling) continue;
      int waiting = forget(&c->output, b);
      if (waiting) fifo_push(&c->output, b);
      else forget(&c->input, b), fifo_push(&c->input, b);
    }
    break;
  default: return fail(GC_ERR_INVALID_PARAMETER, "no such queue operation");
  }
  return GC_ERR_SUCCESS;
}
static GC_ERROR start_stream(DS_HANDLE h) {
  struct camera *c = stream_of(h);
  if (!c) return last_error;
  if (c->streaming) return fail(GC_ERR_RESOURCE_IN_USE, "the stream runs");
  c->streaming = 1;
  return GC_ERR_SUCCESS;
}
static GC_ERROR stop_stream(DS_HANDLE h) {
  struct camera *c = stream_of(h);
  if (!c) return last_error;
  camera_stop(c); /* a camera that goes on sending would find nobody */
  c->streaming = 0;
  return GC_ERR_SUCCESS;
}
static GC_ERROR close_stream(DS_HANDLE h) {
  struct camera *c = stream_of(h);
  if (!c) return last_error;
  drop_stream(c);
  return GC_ERR_SUCCESS;
}
static GC_ERROR stream_info(DS_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  struct camera *c = stream_of(h);
  if (!c) return last_error;
  size_t announced = 0;
  for (unsigned i = 0; i < BUFFERS_MAX; i++) announced += (size_t)c->buffers[i].announced;
  switch (cmd) {
  case STREAM_INFO_ID: return put_text(t, b, n, STREAM_ID);
  case STREAM_INFO_NUM_DELIVERED: return put_u64(t, b, n, c->delivered);
  case STREAM_INFO_NUM_UNDERRUN: return put_u64(t, b, n, c->underruns);
  case STREAM_INFO_NUM_ANNOUNCED: return put_size(t, b, n, announced);
  case STREAM_INFO_NUM_QUEUED: return put_size(t, b, n, c->input.count);
  case STREAM_INFO_NUM_AWAIT_DELIVERY: return put_size(t, b, n, c->output.count);
  case STREAM_INFO_NUM_STARTED: return put_u64(t, b, n, c->started);
  case STREAM_INFO_PAYLOAD_SIZE: return put_size(t, b, n, camera_payload(c));
  case STREAM_INFO_IS_GRABBING: return put_bool(t, b, n, c->streaming);
  case STREAM_INFO_DEFINES_PAYLOADSIZE: return put_bool(t, b, n, 1);
  case STREAM_INFO_TLTYPE: return put_text(t, b, n, TL_TYPE);
  case STREAM_INFO_NUM_CHUNKS_MAX:
  case STREAM_INFO_BUF_ANNOUNCE_MIN:
  case STREAM_INFO_BUF_ALIGNMENT: return put_size(t, b, n, 1);
  default: return unknown(cmd);
  }
}
static GC_ERROR buffer_info(DS_HANDLE h, BUFFER_HANDLE handle, INFO_CMD cmd, INFO_DATATYPE *t, void *out, size_t *n) {
  struct camera *c = stream_of(h);
  struct buffer *b = c ? buffer_of(c, handle) : NULL;
  if (!b) return last_error;
  switch (cmd) {
  case BUFFER_INFO_BASE: return put_ptr(t, out, n, b->base);
  case BUFFER_INFO_SIZE: return put_size(t, out, n, b->size);
  case BUFFER_INFO_USER_PTR: return put_ptr(t, out, n, b->user);
  case BUFFER_INFO_TIMESTAMP:
  case BUFFER_INFO_TIMESTAMP_NS: return put_u64(t, out, n, b->timestamp_ns);
  case BUFFER_INFO_NEW_DATA: return put_bool(t, out, n, b->fresh);
  case BUFFER_INFO_IS_QUEUED: return put_bool(t, out, n, !b->fresh);
  case BUFFER_INFO_IS_ACQUIRING: return put_bool(t, out, n, b->filling);
  case BUFFER_INFO_IS_INCOMPLETE: return put_bool(t, out, n, b->incomplete);
  case BUFFER_INFO_TLTYPE: return put_text(t, out, n, TL_TYPE);
  case BUFFER_INFO_SIZE_FILLED: return put_size(t, out, n, b->filled);
  case BUFFER_INFO_DATA_SIZE: return put_size(t, out, n, b->image_bytes);
  case BUFFER_INFO_WIDTH: return put_size(t, out, n, b->width);
  case BUFFER_INFO_HEIGHT: return put_size(t, out, n, b->height);
  case BUFFER_INFO_DELIVERED_IMAGEHEIGHT:
    return put_size(t, out, n, b->incomplete ? b->height / 2 : b->height);
  case BUFFER_INFO_XOFFSET: return put_size(t, out, n, b->offset_x);
  case BUFFER_INFO_YOFFSET: return put_size(t, out, n, b->offset_y);
  case BUFFER_INFO_XPADDING:
  case BUFFER_INFO_YPADDING:
  case BUFFER_INFO_IMAGEOFFSET: return put_size(t, out, n, 0);
  case BUFFER_INFO_FRAMEID: return put_u64(t, out, n, b->frame_id);
  case BUFFER_INFO_IMAGEPRESENT: return put_bool(t, out, n, 1);
  case BUFFER_INFO_PAYLOADTYPE: return put_size(t, out, n, PAYLOAD_TYPE_IMAGE);
  case BUFFER_INFO_PIXELFORMAT: return put_u64(t, out, n, b->pixel_format);
  case BUFFER_INFO_PIXELFORMAT_NAMESPACE: return put_u64(t, out, n, PIXELFORMAT_NAMESPACE_PFNC_32BIT);
  case BUFFER_INFO_PIXEL_ENDIANNESS: return put_i32(t, out, n, PIXELENDIANNESS_LITTLE);
  case BUFFER_INFO_DELIVERED_CHUNKPAYLOADSIZE: return put_size(t, out, n, b->has_chunks ? b->filled : 0);
  case BUFFER_INFO_DATA_LARGER_THAN_BUFFER: return put_bool(t, out, n, b->image_bytes > b->size);
  case BUFFER_INFO_CONTAINS_CHUNKDATA: return put_bool(t, out, n, b->has_chunks);
  default: return unknown(cmd);
  }
}
static GC_ERROR chunk_list(DS_HANDLE h, BUFFER_HANDLE handle, SINGLE_CHUNK_DATA *out, size_t *n) {
  struct camera *c = stream_of(h);
  struct buffer *b = c ? buffer_of(c, handle) : NULL;
  if (!b) return last_error;
  if (!b->has_chunks) return fail(GC_ERR_NO_DATA, "no chunks in this buffer");
  if (out && *n < 1) return fail(GC_ERR_BUFFER_TOO_SMALL, "one chunk");
  size_t at = (b->image_bytes + 7) / 8 * 8;
  if (out) *out = (SINGLE_CHUNK_DATA){1, (ptrdiff_t)at, b->filled - at};
  *n = 1;
  return GC_ERR_SUCCESS;
}
static GC_ERROR nth_buffer(DS_HANDLE h, uint32_t index, BUFFER_HANDLE *out) {
  struct camera *c = stream_of(h);
  if (!c) return last_error;
  for (unsigned i = 0; i < BUFFERS_MAX; i++)
    if (c->buffers[i].announced && index-- == 0) return *out = &c->buffers[i], GC_ERR_SUCCESS;
  return fail(GC_ERR_INVALID_INDEX, "no such buffer");
}
GC_API DSAnnounceBuffer(DS_HANDLE h, void *base, size_t size, void *user, BUFFER_HANDLE *out) {
  LOCKED(base ? announce(h, base, size, user, out) : fail(GC_ERR_INVALID_PARAMETER, "no buffer"));
}
GC_API DSAllocAndAnnounceBuffer(DS_HANDLE h, size_t size, void *user, BUFFER_HANDLE *out) {
  LOCKED(announce(h, NULL, size, user, out));
}
GC_API DSFlushQueue(DS_HANDLE h, int32_t which) { LOCKED(flush(h, which)); }
GC_API DSStartAcquisition(DS_HANDLE h, int32_t flags, uint64_t frames) {
  (void)flags, (void)frames;
  LOCKED(start_stream(h));
}
GC_API DSStopAcquisition(DS_HANDLE h, int32_t flags) {
  (void)flags;
  LOCKED(stop_stream(h));
}
GC_API DSGetInfo(DS_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) { LOCKED(stream_info(h, cmd, t, b, n)); }
GC_API DSGetBufferID(DS_HANDLE h, uint32_t index, BUFFER_HANDLE *out) { LOCKED(nth_buffer(h, index, out)); }
GC_API DSClose(DS_HANDLE h) { LOCKED(close_stream(h)); }
GC_API DSRevokeBuffer(DS_HANDLE h, BUFFER_HANDLE b, void **base, void **user) { LOCKED(revoke(h, b, base, user)); }
GC_API DSQueueBuffer(DS_HANDLE h, BUFFER_HANDLE b) { LOCKED(queue(h, b)); }
GC_API DSGetBufferInfo(DS_HANDLE h, BUFFER_HANDLE b, INFO_CMD cmd, INFO_DATATYPE *t, void *out, size_t *n) {
  LOCKED(buffer_info(h, b, cmd, t, out, n));
}
GC_API DSGetBufferChunkData(DS_HANDLE h, BUFFER_HANDLE b, SINGLE_CHUNK_DATA *out, size_t *n) {
  LOCKED(n ? chunk_list(h, b, out, n) : fail(GC_ERR_INVALID_PARAMETER, "no size"));
}
GC_API DSGetParentDev(DS_HANDLE h, DEV_HANDLE *out) {
  LOCKED(stream_of(h) ? (*out = &stream_of(h)->opened, GC_ERR_SUCCESS) : last_error);
}
GC_API DSGetNumBufferParts(DS_HANDLE h, BUFFER_HANDLE b, uint32_t *count) {
  LOCKED(stream_of(h) && buffer_of(stream_of(h), b) ? (*count = 0, GC_ERR_SUCCESS) : last_error);
}
/* GenTL 1.6 has more to ask; consumers look these up and complain when they are missing. */
GC_API DSGetNumFlows(DS_HANDLE h, uint32_t *count) {
  (void)h, (void)count;
  return GC_ERR_NOT_IMPLEMENTED;
}
GC_API DSGetFlowInfo(DS_HANDLE h, uint32_t i, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  (void)h, (void)i, (void)cmd, (void)t, (void)b, (void)n;
  return GC_ERR_NOT_IMPLEMENTED;
}
GC_API DSGetNumBufferSegments(DS_HANDLE h, BUFFER_HANDLE b, uint32_t *count) {
  (void)h, (void)b, (void)count;
  return GC_ERR_NOT_IMPLEMENTED;
}
GC_API DSGetBufferSegmentInfo(DS_HANDLE h, BUFFER_HANDLE b, uint32_t i, INFO_CMD cmd, INFO_DATATYPE *t, void *out,
                              size_t *n) {
  (void)h, (void)b, (void)i, (void)cmd, (void)t, (void)out, (void)n;
  return GC_ERR_NOT_IMPLEMENTED;
}
GC_API DSAnnounceCompositeBuffer(DS_HANDLE h, size_t parts, void **bases, size_t *sizes, void *user,
                                 BUFFER_HANDLE *out) {
  (void)h, (void)parts, (void)bases, (void)sizes, (void)user, (void)out;
  return GC_ERR_NOT_IMPLEMENTED;
}
GC_API DSGetBufferPartInfo(DS_HANDLE h, BUFFER_HANDLE b, uint32_t part, INFO_CMD cmd, INFO_DATATYPE *t, void *out,
                           size_t *n) {
  (void)h, (void)b, (void)part, (void)t, (void)out, (void)n;
  LOCKED(unknown(cmd));
}

/* ---- events: new buffers of a stream, nothing else ---- */

static GC_ERROR register_event(EVENTSRC_HANDLE h, int32_t type, EVENT_HANDLE *out) {
  if (type != EVENT_NEW_BUFFER) return fail(GC_ERR_NOT_IMPLEMENTED, "only new buffers are announced");
  struct camera *c = stream_of(h);
  if (!c) return last_error;
  if (c->event_registered) return fail(GC_ERR_RESOURCE_IN_USE, "the event is registered");
  c->event_registered = 1;
  *out = &c->event_registered;
  return GC_ERR_SUCCESS;
}
static GC_ERROR unregister_event(EVENTSRC_HANDLE h, int32_t type) {
  struct camera *c = type == EVENT_NEW_BUFFER ? stream_of(h) : NULL;
  if (!c) return fail(GC_ERR_INVALID_HANDLE, "no such event");
  c->event_registered = 0;
  pthread_cond_broadcast(&c->filled);
  return GC_ERR_SUCCESS;
}
static GC_ERROR get_data(EVENT_HANDLE h, void *out, size_t *n, uint64_t timeout_ms) {
  struct camera *c = event_of(h);
  if (!c) return last_error;
  if (out && n && *n < sizeof(EVENT_NEW_BUFFER_DATA)) /* before the picture is taken off the queue */
    return fail(GC_ERR_BUFFER_TOO_SMALL, "%zu bytes are needed", sizeof(EVENT_NEW_BUFFER_DATA));
  struct buffer *b = NULL;
  GC_ERROR error = camera_wait_output(c, timeout_ms, &b);
  if (error) return error;
  EVENT_NEW_BUFFER_DATA data = {b, b->user};
  return put(NULL, out, n, 0, &data, sizeof data);
}
static GC_ERROR event_info(EVENT_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  struct camera *c = event_of(h);
  if (!c) return last_error;
  switch (cmd) {
  case EVENT_EVENT_TYPE: return put_i32(t, b, n, EVENT_NEW_BUFFER);
  case EVENT_NUM_IN_QUEUE: return put_size(t, b, n, c->output.count);
  case EVENT_NUM_FIRED: return put_u64(t, b, n, c->delivered);
  case EVENT_SIZE_MAX:
  case EVENT_INFO_DATA_SIZE_MAX: return put_size(t, b, n, sizeof(EVENT_NEW_BUFFER_DATA));
  default: return unknown(cmd);
  }
}
static GC_ERROR event_data_info(const void *in, size_t in_n, INFO_CMD cmd, INFO_DATATYPE *t, void *out, size_t *n) {
  if (!in || in_n < sizeof(EVENT_NEW_BUFFER_DATA)) return fail(GC_ERR_INVALID_PARAMETER, "no event data");
  if (cmd != 0) return unknown(cmd);
  EVENT_NEW_BUFFER_DATA data;
  memcpy(&data, in, sizeof data);
  return put_ptr(t, out, n, data.BufferHandle);
}
static GC_ERROR kill_event(EVENT_HANDLE h) {
  struct camera *c = event_of(h);
  if (!c) return last_error;
  c->kills++;
  pthread_cond_broadcast(&c->filled);
  return GC_ERR_SUCCESS;
}
static GC_ERROR flush_event(EVENT_HANDLE h) {
  struct camera *c = event_of(h);
  return c ? (c->output.count = 0, GC_ERR_SUCCESS) : last_error;
}
GC_API GCRegisterEvent(EVENTSRC_HANDLE h, int32_t type, EVENT_HANDLE *out) { LOCKED(register_event(h, type, out)); }
GC_API GCUnregisterEvent(EVENTSRC_HANDLE h, int32_t type) { LOCKED(unregister_event(h, type)); }
GC_API EventGetData(EVENT_HANDLE h, void *out, size_t *n, uint64_t timeout_ms) { LOCKED(get_data(h, out, n, timeout_ms)); }
GC_API EventGetDataInfo(EVENT_HANDLE h, const void *in, size_t in_n, INFO_CMD cmd, INFO_DATATYPE *t, void *out, size_t *n) {
  (void)h;
  LOCKED(event_data_info(in, in_n, cmd, t, out, n));
}
GC_API EventGetInfo(EVENT_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) { LOCKED(event_info(h, cmd, t, b, n)); }
GC_API EventFlush(EVENT_HANDLE h) { LOCKED(flush_event(h)); }
GC_API EventKill(EVENT_HANDLE h) { LOCKED(kill_event(h)); }
