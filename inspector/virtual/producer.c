/* A GenTL producer that plays films: the virtual line's cameras, seen as any vendor's are.
 *
 * Enters: a list of devices in the text file that INSPECTOR_VIRTUAL_DEVICES names, one a line,
 *   serial=V001 user_id=side film=/path/side.film wire=/path/wire ip=10.0.0.7
 * Leaves: the GenTL 1.5 interface (one system, one interface, one data stream per device).
 * The cameras themselves are in virtual_camera.c; faults are described in virtual_camera.h. */
#define _GNU_SOURCE
#include "producer.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_ID "inspector-virtual"
#define INTERFACE_ID "virtual0"

char *device_xml;
size_t device_xml_bytes;
static char own_path[PATH_MAX];

/* ---- library ---- */

/* The consumer unloads a producer to enumerate anew. The library stays resident, so that a camera
 * that was unplugged is still unplugged afterwards. Its description lies beside it. */
static GC_ERROR init(void) {
  if (initialised) return fail(GC_ERR_RESOURCE_IN_USE, "initialised already");
  Dl_info info;
  if (!dladdr((void *)init, &info) || !realpath(info.dli_fname, own_path))
    return fail(GC_ERR_IO, "the library's own path is unknown");
  dlopen(own_path, RTLD_NOW | RTLD_NODELETE);
  if (!device_xml) {
    char path[PATH_MAX + 16];
    snprintf(path, sizeof path, "%s", own_path);
    char *slash = strrchr(path, '/');
    snprintf(slash, sizeof path - (size_t)(slash - path), "/producer.xml");
    FILE *f = fopen(path, "rb");
    if (!f) return fail(GC_ERR_IO, "%s: %s", path, strerror(errno));
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    device_xml = n > 0 ? malloc((size_t)n) : NULL;
    device_xml_bytes = device_xml ? fread(device_xml, 1, (size_t)n, f) : 0;
    fclose(f);
    if (!device_xml) return fail(GC_ERR_IO, "%s is empty", path);
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
    struct in_addr ip = {0};
    for (char *word = strtok_r(line, " \t\r\n", &rest); word; word = strtok_r(NULL, " \t\r\n", &rest)) {
      if (*word == '#') break;
      if (!strncmp(word, "serial=", 7)) snprintf(serial, sizeof serial, "%s", word + 7);
      if (!strncmp(word, "user_id=", 8)) snprintf(user_id, sizeof user_id, "%s", word + 8);
      if (!strncmp(word, "film=", 5)) snprintf(film, sizeof film, "%s", word + 5);
      if (!strncmp(word, "wire=", 5)) snprintf(wire, sizeof wire, "%s", word + 5);
      if (!strncmp(word, "ip=", 3) && inet_pton(AF_INET, word + 3, &ip) != 1)
        error = fail(GC_ERR_INVALID_VALUE, "%s: %s is no IPv4 address", list, word + 3);
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
    c->ip = ntohl(ip.s_addr);
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

struct camera *nth_device(uint32_t n) {
  for (unsigned i = 0; i < camera_count; i++)
    if (listed(&cameras[i]) && n-- == 0) return &cameras[i];
  fail(GC_ERR_INVALID_INDEX, "no such device");
  return NULL;
}
uint32_t device_count(void) {
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
