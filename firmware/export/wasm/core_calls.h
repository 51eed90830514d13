// The core's exports, each by one call of the runtime: included by the file of each runtime, behind its own `core_call`.
//
// core_call(which, arguments, count): calls an export with 32-bit arguments and returns its 32-bit result.

enum core_export {
  CORE_ABI_VERSION,
  CORE_EVENT_BUFFER,
  CORE_EVENT_CAPACITY,
  CORE_ACTION_BUFFER,
  CORE_HANDLE,
  CORE_BITSLICE_AES,
  CORE_EXPORTS,
};

static const char *const core_export_names[CORE_EXPORTS] = {
    METERTIME_EXPORT_ABI_VERSION,   METERTIME_EXPORT_EVENT_BUFFER, METERTIME_EXPORT_EVENT_CAPACITY,
    METERTIME_EXPORT_ACTION_BUFFER, METERTIME_EXPORT_HANDLE,       METERTIME_EXPORT_BITSLICE_AES,
};

static uint32_t core_call(enum core_export which, const uint32_t *arguments, uint32_t count);

static uint32_t core_ask(enum core_export which) {
  return core_call(which, 0, 0);
}

uint32_t w2c_core_abiVersion(w2c_core *core) {
  (void)core;
  return core_ask(CORE_ABI_VERSION);
}

uint32_t w2c_core_eventBuffer(w2c_core *core) {
  (void)core;
  return core_ask(CORE_EVENT_BUFFER);
}

uint32_t w2c_core_eventCapacity(w2c_core *core) {
  (void)core;
  return core_ask(CORE_EVENT_CAPACITY);
}

uint32_t w2c_core_actionBuffer(w2c_core *core) {
  (void)core;
  return core_ask(CORE_ACTION_BUFFER);
}

uint32_t w2c_core_handle(w2c_core *core, uint32_t event, uint32_t length) {
  (void)core;
  const uint32_t arguments[2] = {event, length};
  return core_call(CORE_HANDLE, arguments, 2);
}

void w2c_core_bitsliceAes(w2c_core *core) {
  (void)core;
  core_ask(CORE_BITSLICE_AES);
}
