/* Devices, ports, and the descriptions from which a consumer builds its node maps. See producer.h. */
#include "producer.h"

#include <stdio.h>
#include <string.h>

#define XML_NAME "inspector_virtual_camera.xml"

GC_ERROR device_info(struct camera *c, INFO_CMD cmd, INFO_DATATYPE *t, void *b, size_t *n) {
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
void close_camera(struct camera *c) {
  drop_stream(c);
  camera_close(c);
}

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
  c->lost_packets = 0;
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

/* ---- ports: the remote device has a node map, the interface and the stream a small one ---- */

#define XML_HEAD                                                                                   \
  "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"                                                    \
  "<RegisterDescription ModelName=\"Module\" VendorName=\"Inspector\" StandardNameSpace=\"None\""   \
  " SchemaMajorVersion=\"1\" SchemaMinorVersion=\"1\" SchemaSubMinorVersion=\"0\""                  \
  " MajorVersion=\"1\" MinorVersion=\"0\" SubMinorVersion=\"0\" ToolTip=\"\""                      \
  " ProductGuid=\"9D0F7E5E-5D2C-4E0B-9E7C-1B1F0C7E2A03\""                                          \
  " VersionGuid=\"9D0F7E5E-5D2C-4E0B-9E7C-1B1F0C7E2A04\""                                          \
  " xmlns=\"http://www.genicam.org/GenApi/Version_1_1\">\n"
#define XML_TAIL "  <Port Name=\"Device\" NameSpace=\"Standard\"/>\n</RegisterDescription>\n"

static const char module_xml[] =
    XML_HEAD "  <Category Name=\"Root\" NameSpace=\"Standard\"/>\n" XML_TAIL;
static uint64_t selected_device; /* DeviceSelector of the interface */

/* The interface knows its devices' addresses, as a GigE Vision interface does (GenTL SFNC). */
enum { IF_SELECTOR = 0x0, IF_LAST = 0x8, IF_ADDRESS = 0x10, IF_DEVICE_ID = 0x1000 };
#define REGISTER(name, address, access)                                                         \
  "  <IntReg Name=\"" name "\"><Address>" address "</Address><Length>8</Length><AccessMode>" access \
  "</AccessMode><pPort>Device</pPort><Cachable>NoCache</Cachable>"                                 \
  "<Endianess>LittleEndian</Endianess></IntReg>\n"
static const char interface_xml[] =
    XML_HEAD
    "  <Category Name=\"Root\" NameSpace=\"Standard\"><pFeature>DeviceSelector</pFeature>"
    "<pFeature>DeviceID</pFeature><pFeature>GevDeviceIPAddress</pFeature></Category>\n"
    "  <Integer Name=\"DeviceSelector\" NameSpace=\"Standard\"><pValue>SelectorReg</pValue>"
    "<Min>0</Min><pMax>LastReg</pMax><pSelected>DeviceID</pSelected>"
    "<pSelected>GevDeviceIPAddress</pSelected></Integer>\n"
    "  <Integer Name=\"GevDeviceIPAddress\" NameSpace=\"Standard\"><pValue>AddressReg</pValue>"
    "<Representation>IPV4Address</Representation></Integer>\n"
    "  <StringReg Name=\"DeviceID\" NameSpace=\"Standard\"><Address>0x1000</Address>"
    "<Length>64</Length><AccessMode>RO</AccessMode><pPort>Device</pPort>"
    "<Cachable>NoCache</Cachable></StringReg>\n"
    REGISTER("SelectorReg", "0x0", "RW") REGISTER("LastReg", "0x8", "RO")
    REGISTER("AddressReg", "0x10", "RO")
    XML_TAIL;

/* The stream counts the packets that did not come, as the makers' producers do. */
static const char stream_xml[] =
    XML_HEAD
    "  <Category Name=\"Root\" NameSpace=\"Standard\">"
    "<pFeature>StreamLostPacketCount</pFeature></Category>\n"
    "  <Integer Name=\"StreamLostPacketCount\" NameSpace=\"Custom\">"
    "<pValue>LostPacketsReg</pValue></Integer>\n"
    REGISTER("LostPacketsReg", "0x0", "RO")
    XML_TAIL;

static GC_ERROR read_interface(uint64_t address, void *out, size_t size) {
  const struct camera *c = nth_device((uint32_t)selected_device);
  char id[NAME_BYTES] = "";
  if (c) memcpy(id, c->serial, sizeof id);
  uint32_t count = device_count();
  uint64_t value = address == IF_SELECTOR ? selected_device
                   : address == IF_LAST   ? (count ? count - 1 : 0)
                   : c                    ? c->ip : 0;
  if (address == IF_DEVICE_ID && size <= sizeof id) memcpy(out, id, size);
  else if (size == 8 && address <= IF_ADDRESS && address % 8 == 0) memcpy(out, &value, 8);
  else return fail(GC_ERR_INVALID_ADDRESS, "no register at 0x%llx", (unsigned long long)address);
  return GC_ERR_SUCCESS;
}

struct description {
  const char *text, *name;
  size_t bytes;
};
/* No text: not a port of this producer. */
static struct description describe(PORT_HANDLE h) {
  if (port_of(h)) return (struct description){device_xml, XML_NAME, device_xml_bytes};
  if (h == &interface_handle && interface_open)
    return (struct description){interface_xml, "inspector_virtual_interface.xml", sizeof interface_xml - 1};
  if (stream_of(h))
    return (struct description){stream_xml, "inspector_virtual_stream.xml", sizeof stream_xml - 1};
  if ((h == &system_handle && system_open) || device_of(h))
    return (struct description){module_xml, "inspector_virtual_module.xml", sizeof module_xml - 1};
  return (struct description){NULL, NULL, 0};
}
static GC_ERROR read_port(PORT_HANDLE h, uint64_t address, void *out, size_t size) {
  struct camera *c = port_of(h);
  if (c && address < XML_ADDRESS) return camera_read(c, address, out, size);
  struct description d = describe(h);
  if (!d.text) return last_error;
  if (d.text == interface_xml && address < XML_ADDRESS) return read_interface(address, out, size);
  if (d.text == stream_xml && address == 0 && size == 8) {
    memcpy(out, &stream_of(h)->lost_packets, 8);
    return GC_ERR_SUCCESS;
  }
  if (address < XML_ADDRESS || address - XML_ADDRESS + size > d.bytes)
    return fail(GC_ERR_INVALID_ADDRESS, "past the description");
  memcpy(out, d.text + (address - XML_ADDRESS), size);
  return GC_ERR_SUCCESS;
}
static GC_ERROR write_port(PORT_HANDLE h, uint64_t address, const void *in, size_t size) {
  struct camera *c = port_of(h);
  if (c) return camera_write(c, address, in, size);
  if (h != &interface_handle || !interface_open || address != IF_SELECTOR || size != 8)
    return fail(GC_ERR_INVALID_HANDLE, "not a port that can be written there");
  memcpy(&selected_device, in, 8);
  return GC_ERR_SUCCESS;
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

