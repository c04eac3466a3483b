/* What the files of the producer share: its state, its handles, its way to answer.
 *
 * producer.c      the library, the system, the interface and the list of devices
 * producer_port.c devices, ports and their descriptions
 * producer_stream.c data streams, buffers and their events
 * producer_core.c the functions below
 * virtual_camera.c the cameras themselves, with virtual_registers.c, virtual_wire.c and
 * virtual_encoder.c */
#ifndef INSPECTOR_PRODUCER_H
#define INSPECTOR_PRODUCER_H

#include "virtual_camera.h"

#pragma GCC visibility push(hidden)

#define STREAM_ID "stream0"
#define TL_TYPE "Custom" /* chunks are then read from the list of DSGetBufferChunkData */

extern struct camera cameras[CAMERAS_MAX];
extern unsigned camera_count;
extern int initialised, system_open, interface_open;
extern char system_handle, interface_handle; /* only their addresses matter */
extern char *device_xml;
extern size_t device_xml_bytes;
extern _Thread_local GC_ERROR last_error;
extern _Thread_local char last_text[PATH_BYTES + 128];

/* Every function of the interface holds the lock; a wait inside releases it. */
#define LOCKED(expression)                                                                         \
  do {                                                                                             \
    pthread_mutex_lock(&producer_lock);                                                            \
    GC_ERROR result_ = initialised ? (expression) : fail(GC_ERR_NOT_INITIALIZED, "GCInitLib first"); \
    pthread_mutex_unlock(&producer_lock);                                                          \
    return result_;                                                                                \
  } while (0)

/* A handle is an address within a camera's record. NULL, and last_error is set, if it is none. */
struct camera *device_of(const void *handle);
struct camera *port_of(const void *handle);
struct camera *stream_of(const void *handle);
struct camera *event_of(const void *handle);
struct buffer *buffer_of(struct camera *c, const void *handle);

/* A null destination asks for the size. */
GC_ERROR put(INFO_DATATYPE *type, void *out, size_t *size, INFO_DATATYPE t, const void *from, size_t n);
GC_ERROR put_text(INFO_DATATYPE *type, void *out, size_t *size, const char *text);
GC_ERROR put_bool(INFO_DATATYPE *type, void *out, size_t *size, int value);
GC_ERROR put_i32(INFO_DATATYPE *type, void *out, size_t *size, int32_t v);
GC_ERROR put_u32(INFO_DATATYPE *type, void *out, size_t *size, uint32_t v);
GC_ERROR put_u64(INFO_DATATYPE *type, void *out, size_t *size, uint64_t v);
GC_ERROR put_size(INFO_DATATYPE *type, void *out, size_t *size, size_t v);
GC_ERROR put_ptr(INFO_DATATYPE *type, void *out, size_t *size, void *v);
GC_ERROR unknown(INFO_CMD cmd);

GC_ERROR device_info(struct camera *c, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n);
/* The n-th device that is plugged in. */
struct camera *nth_device(uint32_t n);
uint32_t device_count(void);
void drop_stream(struct camera *c);
void close_camera(struct camera *c);

#pragma GCC visibility pop
#endif
