/* A GenTL producer that plays films: the virtual line's cameras, seen as any vendor's are.
 *
 * Enters: a list of devices in the text file that INSPECTOR_VIRTUAL_DEVICES names, one a line,
 *   serial=V001 user_id=side film=/path/side.film wire=/path/wire
 * Leaves: the GenTL 1.5 interface (one system, one interface, one data stream per device).
 * The cameras themselves are in virtual_camera.c; faults are described in virtual_camera.h. */
#define _GNU_SOURCE
#include "virtual_camera.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_ID "inspector-virtual"
#define INTERFACE_ID "virtual0"
#define STREAM_ID "stream0"
#define TL_TYPE "Custom" /* chunks are then read from the list of DSGetBufferChunkData */
#define XML_NAME "inspector_virtual_camera.xml"

static struct camera cameras[CAMERAS_MAX];
static unsigned camera_count;
static int initialised, system_open, interface_open;
static char system_handle, interface_handle; /* only their addresses matter */
static char *xml;
static size_t xml_bytes;
static char own_path[PATH_MAX];
static _Thread_local GC_ERROR last_error;
static _Thread_local char last_text[PATH_BYTES + 128];

GC_ERROR fail(GC_ERROR code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(last_text, sizeof last_text, format, args);
  va_end(args);
  return last_error = code;
}

#define LOCKED(expression)                                                                         \
  do {                                                                                             \
    pthread_mutex_lock(&producer_lock);                                                            \
    GC_ERROR result_ = initialised ? (expression) : fail(GC_ERR_NOT_INITIALIZED, "GCInitLib first"); \
    pthread_mutex_unlock(&producer_lock);                                                          \
    return result_;                                                                                \
  } while (0)

/* ---- handles: addresses within a camera's record ---- */

#define FINDER(name, member)                                                                       \
  static struct camera *name(const void *handle) {                                                 \
    for (unsigned i = 0; i < camera_count; i++)                                                    \
      if (handle == (const void *)&cameras[i].member && cameras[i].opened) return &cameras[i];     \
    fail(GC_ERR_INVALID_HANDLE, "not a handle of this producer");                                  \
    return NULL;                                                                                   \
  }
FINDER(device_of, opened)
FINDER(port_of, reg)
FINDER(stream_of_handle, stream_open)
FINDER(event_of, event_registered)

static struct camera *stream_of(const void *handle) {
  struct camera *c = stream_of_handle(handle);
  if (c && c->stream_open) return c;
  fail(GC_ERR_INVALID_HANDLE, "not an open stream");
  return NULL;
}

static struct buffer *buffer_of(struct camera *c, const void *handle) {
  for (unsigned i = 0; i < BUFFERS_MAX; i++)
    if (handle == &c->buffers[i] && c->buffers[i].announced) return &c->buffers[i];
  fail(GC_ERR_INVALID_BUFFER, "not an announced buffer");
  return NULL;
}

/* ---- answers: a null destination asks for the size ---- */

static GC_ERROR put(INFO_DATATYPE *type, void *out, size_t *size, INFO_DATATYPE t, const void *from,
                    size_t n) {
  if (!size) return fail(GC_ERR_INVALID_PARAMETER, "no size");
  if (type) *type = t;
  if (out && *size < n) return fail(GC_ERR_BUFFER_TOO_SMALL, "%zu bytes are needed", n);
  if (out) memcpy(out, from, n);
  *size = n;
  return GC_ERR_SUCCESS;
}

static GC_ERROR put_text(INFO_DATATYPE *type, void *out, size_t *size, const char *text) {
  return put(type, out, size, INFO_DATATYPE_STRING, text, strlen(text) + 1);
}
static GC_ERROR put_bool(INFO_DATATYPE *type, void *out, size_t *size, int value) {
  bool8_t v = value != 0;
  return put(type, out, size, INFO_DATATYPE_BOOL8, &v, sizeof v);
}
static GC_ERROR put_i32(INFO_DATATYPE *type, void *out, size_t *size, int32_t v) {
  return put(type, out, size, INFO_DATATYPE_INT32, &v, sizeof v);
}
static GC_ERROR put_u32(INFO_DATATYPE *type, void *out, size_t *size, uint32_t v) {
  return put(type, out, size, INFO_DATATYPE_UINT32, &v, sizeof v);
}
static GC_ERROR put_u64(INFO_DATATYPE *type, void *out, size_t *size, uint64_t v) {
  return put(type, out, size, INFO_DATATYPE_UINT64, &v, sizeof v);
}
static GC_ERROR put_size(INFO_DATATYPE *type, void *out, size_t *size, size_t v) {
  return put(type, out, size, INFO_DATATYPE_SIZET, &v, sizeof v);
}
static GC_ERROR put_ptr(INFO_DATATYPE *type, void *out, size_t *size, void *v) {
  return put(type, out, size, INFO_DATATYPE_PTR, &v, sizeof v);
}
static GC_ERROR unknown(INFO_CMD cmd) {
  return fail(GC_ERR_NOT_IMPLEMENTED, "this producer does not answer command %d", (int)cmd);
}

/* ---- library ---- */

/* The consumer unloads a producer to enumerate anew. The library stays resident, so that a camera
 * that was unplugged is still unplugged afterwards. Its description lies beside it. */
static GC_ERROR init(void) {
  if (initialised) return fail(GC_ERR_RESOURCE_IN_USE, "initialised already");
  Dl_info info;
  if (!dladdr((void *)init, &info) || !realpath(info.dli_fname, own_path))
    return fail(GC_ERR_IO, "the library's own path is unknown");
  dlopen(own_path, RTLD_NOW | RTLD_NODELETE);
  if (!xml) {
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s", own_path);
    char *slash = strrchr(path, '/');
    snprintf(slash, sizeof path - (size_t)(slash - path), "/producer.xml");
    FILE *f = fopen(path, "rb");
    if (!f) return fail(GC_ERR_IO, "%s: %s", path, strerror(errno));
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    xml = n > 0 ? malloc((size_t)n) : NULL;
    xml_bytes = xml ? fread(xml, 1, (size_t)n, f) : 0;
    fclose(f);
    if (!xml) return fail(GC_ERR_IO, "%s is empty", path);
  }
  initialised = 1;
  return GC_ERR_SUCCESS;
}

GC_API GCInitLib(void) {
  pthread_mutex_lock(&producer_lock);
  GC_ERROR error = init();
  pthread_mutex_unlock(&producer_lock);
  return error;
}

/* Frees what the stream holds and ends its waits; a camera that closes takes its stream along. */
static void drop_stream(struct camera *c) {
  camera_stop(c);
  for (unsigned i = 0; i < BUFFERS_MAX; i++)
    if (c->buffers[i].owned) free(c->buffers[i].base);
  memset(c->buffers, 0, sizeof c->buffers);
  c->input.count = c->output.count = 0;
  c->stream_open = c->streaming = c->event_registered = 0;
  pthread_cond_broadcast(&c->filled);
}

static void close_camera(struct camera *c) {
  drop_stream(c);
  camera_close(c);
}

static GC_ERROR close_all(void) {
  for (unsigned i = 0; i < camera_count; i++)
    if (cameras[i].opened) close_camera(&cameras[i]);
  initialised = system_open = interface_open = 0;
  return GC_ERR_SUCCESS;
}
GC_API GCCloseLib(void) { LOCKED(close_all()); }

GC_API GCGetLastError(GC_ERROR *code, char *text, size_t *size) {
  if (code) *code = last_error;
  if (!size) return GC_ERR_INVALID_PARAMETER;
  size_t n = strlen(last_text) + 1;
  if (text && *size < n) return GC_ERR_BUFFER_TOO_SMALL;
  if (text) memcpy(text, last_text, n);
  *size = n;
  return GC_ERR_SUCCESS;
}

static GC_ERROR system_info(INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  switch (cmd) {
  case TL_INFO_ID: return put_text(t, b, n, SYSTEM_ID);
  case TL_INFO_VENDOR: return put_text(t, b, n, "Inspector");
  case TL_INFO_MODEL: return put_text(t, b, n, "Virtual line");
  case TL_INFO_VERSION: return put_text(t, b, n, "1.0");
  case TL_INFO_TLTYPE: return put_text(t, b, n, TL_TYPE);
  case TL_INFO_NAME: return put_text(t, b, n, "_producer.cti");
  case TL_INFO_PATHNAME: return put_text(t, b, n, own_path);
  case TL_INFO_DISPLAYNAME: return put_text(t, b, n, "Inspector virtual line");
  case TL_INFO_CHAR_ENCODING: return put_i32(t, b, n, 1); /* UTF-8 */
  case TL_INFO_GENTL_VER_MAJOR: return put_u32(t, b, n, 1);
  case TL_INFO_GENTL_VER_MINOR: return put_u32(t, b, n, 5);
  default: return unknown(cmd);
  }
}
GC_API GCGetInfo(INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  pthread_mutex_lock(&producer_lock); /* allowed before GCInitLib */
  GC_ERROR error = system_info(cmd, t, b, n);
  pthread_mutex_unlock(&producer_lock);
  return error;
}

/* ---- system ---- */

static GC_ERROR read_devices(void) {
  const char *list = getenv("INSPECTOR_VIRTUAL_DEVICES");
  for (unsigned i = 0; i < camera_count; i++) cameras[i].index = -1;
  if (!list || !*list) return GC_ERR_SUCCESS;
  FILE *f = fopen(list, "r");
  if (!f) return fail(GC_ERR_IO, "INSPECTOR_VIRTUAL_DEVICES: %s: %s", list, strerror(errno));
  char line[2 * PATH_BYTES + 256];
  GC_ERROR error = GC_ERR_SUCCESS;
  for (int index = 0; !error && fgets(line, sizeof line, f);) {
    char serial[NAME_BYTES] = "", user_id[NAME_BYTES] = "", film[PATH_BYTES] = "", wire[PATH_BYTES] = "";
    char *rest;
    for (char *word = strtok_r(line, " \t\r\n", &rest); word; word = strtok_r(NULL, " \t\r\n", &rest)) {
      if (*word == '#') break;
      if (!strncmp(word, "serial=", 7)) snprintf(serial, sizeof serial, "%s", word + 7);
      if (!strncmp(word, "user_id=", 8)) snprintf(user_id, sizeof user_id, "%s", word + 8);
      if (!strncmp(word, "film=", 5)) snprintf(film, sizeof film, "%s", word + 5);
      if (!strncmp(word, "wire=", 5)) snprintf(wire, sizeof wire, "%s", word + 5);
    }
    if (!serial[0]) continue;
    struct camera *c = NULL; /* the same serial keeps its record: it may be open, or unplugged */
    for (unsigned i = 0; i < camera_count && !c; i++)
      if (!strcmp(cameras[i].serial, serial)) c = &cameras[i];
    for (unsigned i = 0; i < camera_count && !c; i++)
      if (camera_count == CAMERAS_MAX && cameras[i].index < 0 && !cameras[i].opened) {
        c = &cameras[i]; /* a device of an earlier list */
        c->absent_until_ns = 0;
        snprintf(c->serial, sizeof c->serial, "%s", serial);
      }
    if (!c && camera_count == CAMERAS_MAX) {
      error = fail(GC_ERR_RESOURCE_EXHAUSTED, "%s: more than %d devices", list, CAMERAS_MAX);
      break;
    }
    if (!c) {
      c = &cameras[camera_count++];
      c->lock_socket = -1;
      snprintf(c->serial, sizeof c->serial, "%s", serial);
      pthread_condattr_t clock;
      pthread_condattr_init(&clock);
      pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
      pthread_cond_init(&c->filled, &clock);
      pthread_cond_init(&c->changed, &clock);
      pthread_condattr_destroy(&clock);
    }
    c->index = index++;
    if (c->opened) continue;
    snprintf(c->user_id, sizeof c->user_id, "%s", user_id);
    snprintf(c->film_path, sizeof c->film_path, "%s", film);
    snprintf(c->wire_path, sizeof c->wire_path, "%s", wire);
  }
  fclose(f);
  return error;
}

static GC_ERROR open_system(TL_HANDLE *out) {
  if (!out) return fail(GC_ERR_INVALID_PARAMETER, "no place for the handle");
  if (system_open) return fail(GC_ERR_RESOURCE_IN_USE, "the system is open");
  GC_ERROR error = read_devices();
  if (error) return error;
  system_open = 1;
  *out = &system_handle;
  return GC_ERR_SUCCESS;
}
static int is_system(TL_HANDLE h) {
  if (h == &system_handle && system_open) return 1;
  fail(GC_ERR_INVALID_HANDLE, "not the system's handle");
  return 0;
}
static GC_ERROR close_system(TL_HANDLE h) {
  if (!is_system(h)) return last_error;
  system_open = interface_open = 0;
  return GC_ERR_SUCCESS;
}
GC_API TLOpen(TL_HANDLE *out) { LOCKED(open_system(out)); }
GC_API TLClose(TL_HANDLE h) { LOCKED(close_system(h)); }
GC_API TLGetInfo(TL_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  LOCKED(is_system(h) ? system_info(cmd, t, b, n) : last_error);
}
GC_API TLGetNumInterfaces(TL_HANDLE h, uint32_t *count) {
  LOCKED(is_system(h) ? (*count = 1, GC_ERR_SUCCESS) : last_error);
}
GC_API TLUpdateInterfaceList(TL_HANDLE h, bool8_t *changed, uint64_t timeout_ms) {
  (void)timeout_ms;
  LOCKED(is_system(h) ? ((void)(changed && (*changed = 0)), GC_ERR_SUCCESS) : last_error);
}
GC_API TLGetInterfaceID(TL_HANDLE h, uint32_t index, char *id, size_t *n) {
  LOCKED(!is_system(h)  ? last_error
         : index != 0   ? fail(GC_ERR_INVALID_INDEX, "there is one interface")
                        : put_text(NULL, id, n, INTERFACE_ID));
}

static GC_ERROR interface_info(INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  switch (cmd) {
  case INTERFACE_INFO_ID: return put_text(t, b, n, INTERFACE_ID);
  case INTERFACE_INFO_DISPLAYNAME: return put_text(t, b, n, "Inspector virtual interface");
  case INTERFACE_INFO_TLTYPE: return put_text(t, b, n, TL_TYPE);
  default: return unknown(cmd);
  }
}
static GC_ERROR check_interface_id(TL_HANDLE h, const char *id) {
  if (!is_system(h)) return last_error;
  return id && !strcmp(id, INTERFACE_ID) ? GC_ERR_SUCCESS : fail(GC_ERR_INVALID_ID, "no such interface");
}
static GC_ERROR open_interface(TL_HANDLE h, const char *id, IF_HANDLE *out) {
  GC_ERROR error = check_interface_id(h, id);
  if (error) return error;
  if (interface_open) return fail(GC_ERR_RESOURCE_IN_USE, "the interface is open");
  interface_open = 1;
  *out = &interface_handle;
  return GC_ERR_SUCCESS;
}
static GC_ERROR interface_info_by_id(TL_HANDLE h, const char *id, INFO_CMD cmd, INFO_DATATYPE *t,
                                     void *b, size_t *n) {
  GC_ERROR error = check_interface_id(h, id);
  return error ? error : interface_info(cmd, t, b, n);
}
GC_API TLGetInterfaceInfo(TL_HANDLE h, const char *id, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  LOCKED(interface_info_by_id(h, id, cmd, t, b, n));
}
GC_API TLOpenInterface(TL_HANDLE h, const char *id, IF_HANDLE *out) { LOCKED(open_interface(h, id, out)); }

/* ---- interface ---- */

static int is_interface(IF_HANDLE h) {
  if (h == &interface_handle && interface_open) return 1;
  fail(GC_ERR_INVALID_HANDLE, "not the interface's handle");
  return 0;
}
static int listed(const struct camera *c) { return c->index >= 0 && camera_present(c); }

static struct camera *nth_device(uint32_t n) {
  for (unsigned i = 0; i < camera_count; i++)
    if (listed(&cameras[i]) && n-- == 0) return &cameras[i];
  fail(GC_ERR_INVALID_INDEX, "no such device");
  return NULL;
}
static uint32_t device_count(void) {
  uint32_t n = 0;
  for (unsigned i = 0; i < camera_count; i++) n += (uint32_t)listed(&cameras[i]);
  return n;
}
static struct camera *device_by_id(IF_HANDLE h, const char *id) {
  if (!is_interface(h)) return NULL;
  for (unsigned i = 0; i < camera_count; i++)
    if (id && cameras[i].index >= 0 && !strcmp(cameras[i].serial, id)) return &cameras[i];
  fail(GC_ERR_INVALID_ID, "no device %s", id ? id : "");
  return NULL;
}
static GC_ERROR device_info(struct camera *c, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  char text[2 * NAME_BYTES + 8];
  switch (cmd) {
  case DEVICE_INFO_ID:
  case DEVICE_INFO_SERIAL_NUMBER: return put_text(t, b, n, c->serial);
  case DEVICE_INFO_VENDOR: return put_text(t, b, n, camera_text(c, 0));
  case DEVICE_INFO_MODEL: return put_text(t, b, n, camera_text(c, 1));
  case DEVICE_INFO_TLTYPE: return put_text(t, b, n, TL_TYPE);
  case DEVICE_INFO_DISPLAYNAME:
    snprintf(text, sizeof text, "%s (%s)", c->user_id[0] ? c->user_id : c->serial, c->serial);
    return put_text(t, b, n, text);
  case DEVICE_INFO_ACCESS_STATUS:
    return put_i32(t, b, n, camera_busy(c) ? DEVICE_ACCESS_STATUS_BUSY : DEVICE_ACCESS_STATUS_READWRITE);
  case DEVICE_INFO_USER_DEFINED_NAME: return put_text(t, b, n, c->user_id);
  case DEVICE_INFO_VERSION: return put_text(t, b, n, camera_text(c, 4));
  case DEVICE_INFO_TIMESTAMP_FREQUENCY: return put_u64(t, b, n, 1000000000u);
  default: return unknown(cmd);
  }
}
static GC_ERROR device_info_by_id(IF_HANDLE h, const char *id, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  struct camera *c = device_by_id(h, id);
  return c ? device_info(c, cmd, t, b, n) : last_error;
}
static GC_ERROR open_device(IF_HANDLE h, const char *id, DEV_HANDLE *out) {
  struct camera *c = device_by_id(h, id);
  if (!c) return last_error;
  GC_ERROR error = camera_open(c);
  if (!error) *out = &c->opened;
  return error;
}
static GC_ERROR device_id(uint32_t index, char *id, size_t *n) {
  struct camera *c = nth_device(index);
  return c ? put_text(NULL, id, n, c->serial) : last_error;
}
static GC_ERROR interface_of_info(IF_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  return is_interface(h) ? interface_info(cmd, t, b, n) : last_error;
}
GC_API IFClose(IF_HANDLE h) { LOCKED(is_interface(h) ? (interface_open = 0, GC_ERR_SUCCESS) : last_error); }
GC_API IFGetInfo(IF_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  LOCKED(interface_of_info(h, cmd, t, b, n));
}
GC_API IFGetNumDevices(IF_HANDLE h, uint32_t *count) {
  LOCKED(is_interface(h) ? (*count = device_count(), GC_ERR_SUCCESS) : last_error);
}
GC_API IFUpdateDeviceList(IF_HANDLE h, bool8_t *changed, uint64_t timeout_ms) {
  (void)timeout_ms;
  LOCKED(is_interface(h) ? ((void)(changed && (*changed = 1)), read_devices()) : last_error);
}
GC_API IFGetDeviceID(IF_HANDLE h, uint32_t index, char *id, size_t *n) {
  LOCKED(is_interface(h) ? device_id(index, id, n) : last_error);
}
GC_API IFGetDeviceInfo(IF_HANDLE h, const char *id, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  LOCKED(device_info_by_id(h, id, cmd, t, b, n));
}
GC_API IFOpenDevice(IF_HANDLE h, const char *id, int32_t flags, DEV_HANDLE *out) {
  (void)flags; /* every opener is exclusive */
  LOCKED(open_device(h, id, out));
}
GC_API IFGetParentTL(IF_HANDLE h, TL_HANDLE *out) {
  LOCKED(is_interface(h) ? (*out = &system_handle, GC_ERR_SUCCESS) : last_error);
}

/* ---- device ---- */

static GC_ERROR close_device(DEV_HANDLE h) {
  struct camera *c = device_of(h);
  if (!c) return last_error;
  close_camera(c);
  return GC_ERR_SUCCESS;
}
static GC_ERROR open_stream(DEV_HANDLE h, const char *id, DS_HANDLE *out) {
  struct camera *c = device_of(h);
  if (!c) return last_error;
  if (!id || strcmp(id, STREAM_ID)) return fail(GC_ERR_INVALID_ID, "no such stream");
  if (c->stream_open) return fail(GC_ERR_RESOURCE_IN_USE, "the stream is open");
  memset(c->buffers, 0, sizeof c->buffers);
  c->input.count = c->output.count = 0;
  c->streaming = c->event_registered = c->kills = 0;
  c->stream_open = 1;
  *out = &c->stream_open;
  return GC_ERR_SUCCESS;
}
static GC_ERROR info_of_device(DEV_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  struct camera *c = device_of(h);
  return c ? device_info(c, cmd, t, b, n) : last_error;
}
static GC_ERROR port_of_device(DEV_HANDLE h, PORT_HANDLE *out) {
  struct camera *c = device_of(h);
  return c ? (*out = &c->reg, GC_ERR_SUCCESS) : last_error;
}
GC_API DevGetPort(DEV_HANDLE h, PORT_HANDLE *out) { LOCKED(port_of_device(h, out)); }
GC_API DevGetInfo(DEV_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  LOCKED(info_of_device(h, cmd, t, b, n));
}
GC_API DevGetNumDataStreams(DEV_HANDLE h, uint32_t *count) {
  LOCKED(device_of(h) ? (*count = 1, GC_ERR_SUCCESS) : last_error);
}
GC_API DevGetDataStreamID(DEV_HANDLE h, uint32_t index, char *id, size_t *n) {
  LOCKED(!device_of(h) ? last_error
         : index       ? fail(GC_ERR_INVALID_INDEX, "there is one stream")
                       : put_text(NULL, id, n, STREAM_ID));
}
GC_API DevOpenDataStream(DEV_HANDLE h, const char *id, DS_HANDLE *out) { LOCKED(open_stream(h, id, out)); }
GC_API DevClose(DEV_HANDLE h) { LOCKED(close_device(h)); }
GC_API DevGetParentIF(DEV_HANDLE h, IF_HANDLE *out) {
  LOCKED(device_of(h) ? (*out = &interface_handle, GC_ERR_SUCCESS) : last_error);
}

/* ---- ports: the remote device has a node map, the host's own modules an empty one ---- */

static const char module_xml[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
    "<RegisterDescription ModelName=\"Module\" VendorName=\"Inspector\" StandardNameSpace=\"None\""
    " SchemaMajorVersion=\"1\" SchemaMinorVersion=\"1\" SchemaSubMinorVersion=\"0\""
    " MajorVersion=\"1\" MinorVersion=\"0\" SubMinorVersion=\"0\" ToolTip=\"\""
    " ProductGuid=\"9D0F7E5E-5D2C-4E0B-9E7C-1B1F0C7E2A03\""
    " VersionGuid=\"9D0F7E5E-5D2C-4E0B-9E7C-1B1F0C7E2A04\""
    " xmlns=\"http://www.genicam.org/GenApi/Version_1_1\">\n"
    "  <Category Name=\"Root\" NameSpace=\"Standard\"/>\n"
    "  <Port Name=\"Device\" NameSpace=\"Standard\"/>\n"
    "</RegisterDescription>\n";

struct description {
  const char *text, *name;
  size_t bytes;
};
/* No text: not a port of this producer. */
static struct description describe(PORT_HANDLE h) {
  if (port_of(h)) return (struct description){xml, XML_NAME, xml_bytes};
  if ((h == &system_handle && system_open) || (h == &interface_handle && interface_open) ||
      device_of(h) || stream_of(h))
    return (struct description){module_xml, "inspector_virtual_module.xml", sizeof module_xml - 1};
  return (struct description){NULL, NULL, 0};
}
static GC_ERROR read_port(PORT_HANDLE h, uint64_t address, void *out, size_t size) {
  struct camera *c = port_of(h);
  if (c && address < XML_ADDRESS) return camera_read(c, address, out, size);
  struct description d = describe(h);
  if (!d.text) return last_error;
  if (address < XML_ADDRESS || address - XML_ADDRESS + size > d.bytes)
    return fail(GC_ERR_INVALID_ADDRESS, "past the description");
  memcpy(out, d.text + (address - XML_ADDRESS), size);
  return GC_ERR_SUCCESS;
}
static GC_ERROR write_port(PORT_HANDLE h, uint64_t address, const void *in, size_t size) {
  struct camera *c = port_of(h);
  return c ? camera_write(c, address, in, size) : last_error;
}
static GC_ERROR stacked(PORT_HANDLE h, PORT_REGISTER_STACK_ENTRY *e, size_t *n, int writing) {
  for (size_t i = 0; i < *n; i++) {
    GC_ERROR error = writing ? write_port(h, e[i].Address, e[i].pBuffer, e[i].Size)
                             : read_port(h, e[i].Address, e[i].pBuffer, e[i].Size);
    if (error) {
      *n = i;
      return error;
    }
  }
  return GC_ERR_SUCCESS;
}
static GC_ERROR put_url(PORT_HANDLE h, INFO_DATATYPE *t, void *out, size_t *n) {
  struct description d = describe(h);
  char url[128];
  if (!d.text) return last_error;
  snprintf(url, sizeof url, "Local:%s;%x;%zx", d.name, (unsigned)XML_ADDRESS, d.bytes);
  return put_text(t, out, n, url);
}
static GC_ERROR url_info(PORT_HANDLE h, uint32_t index, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  struct description d = describe(h);
  if (!d.text) return last_error;
  if (index) return fail(GC_ERR_INVALID_INDEX, "there is one description");
  switch (cmd) {
  case URL_INFO_URL: return put_url(h, t, b, n);
  case URL_INFO_SCHEMA_VER_MAJOR:
  case URL_INFO_SCHEMA_VER_MINOR:
  case URL_INFO_FILE_VER_MAJOR: return put_i32(t, b, n, 1);
  case URL_INFO_FILE_VER_MINOR:
  case URL_INFO_FILE_VER_SUBMINOR:
  case URL_INFO_SCHEME: return put_i32(t, b, n, 0);
  case URL_INFO_FILE_REGISTER_ADDRESS: return put_u64(t, b, n, XML_ADDRESS);
  case URL_INFO_FILE_SIZE: return put_u64(t, b, n, d.bytes);
  case URL_INFO_FILENAME: return put_text(t, b, n, d.name);
  default: return unknown(cmd);
  }
}
static GC_ERROR port_info(PORT_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  struct camera *c = port_of(h);
  const char *module = c || device_of(h) ? "Device" : stream_of(h) ? "DataStream"
                     : h == &interface_handle                     ? "Interface" : "TLSystem";
  if (!describe(h).text) return last_error;
  switch (cmd) {
  case PORT_INFO_ID: return put_text(t, b, n, c ? c->serial : module);
  case PORT_INFO_VENDOR: return put_text(t, b, n, "Inspector");
  case PORT_INFO_MODEL: return put_text(t, b, n, "Virtual camera");
  case PORT_INFO_TLTYPE: return put_text(t, b, n, TL_TYPE);
  case PORT_INFO_MODULE: return put_text(t, b, n, module);
  case PORT_INFO_LITTLE_ENDIAN: return put_bool(t, b, n, 1);
  case PORT_INFO_BIG_ENDIAN:
  case PORT_INFO_ACCESS_NI: return put_bool(t, b, n, 0);
  case PORT_INFO_ACCESS_READ:
  case PORT_INFO_ACCESS_WRITE: return put_bool(t, b, n, c && !c->lost);
  case PORT_INFO_ACCESS_NA: return put_bool(t, b, n, !c || c->lost);
  case PORT_INFO_VERSION: return put_text(t, b, n, "1.0");
  case PORT_INFO_PORTNAME: return put_text(t, b, n, "Device");
  default: return unknown(cmd);
  }
}
GC_API GCReadPort(PORT_HANDLE h, uint64_t address, void *b, size_t *n) {
  LOCKED(n ? read_port(h, address, b, *n) : fail(GC_ERR_INVALID_PARAMETER, "no size"));
}
GC_API GCWritePort(PORT_HANDLE h, uint64_t address, const void *b, size_t *n) {
  LOCKED(n ? write_port(h, address, b, *n) : fail(GC_ERR_INVALID_PARAMETER, "no size"));
}
GC_API GCReadPortStacked(PORT_HANDLE h, PORT_REGISTER_STACK_ENTRY *e, size_t *n) { LOCKED(stacked(h, e, n, 0)); }
GC_API GCWritePortStacked(PORT_HANDLE h, PORT_REGISTER_STACK_ENTRY *e, size_t *n) { LOCKED(stacked(h, e, n, 1)); }
GC_API GCGetPortInfo(PORT_HANDLE h, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  LOCKED(port_info(h, cmd, t, b, n));
}
GC_API GCGetPortURL(PORT_HANDLE h, char *b, size_t *n) { LOCKED(put_url(h, NULL, b, n)); }
GC_API GCGetNumPortURLs(PORT_HANDLE h, uint32_t *count) {
  LOCKED(describe(h).text ? (*count = 1, GC_ERR_SUCCESS) : last_error);
}
GC_API GCGetPortURLInfo(PORT_HANDLE h, uint32_t index, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
  LOCKED(url_info(h, index, cmd, t, b, n));
}

/* ---- data stream ---- */

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
