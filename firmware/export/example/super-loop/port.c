// A port to a process under Linux (POSIX): the line is a unix socket or a terminal, the storage a file.
//
// What always holds: there are no interrupts, so all bytes are taken and sent by the one thread; what is written to the
// storage is on disk for good before it is said to be. A microcontroller's port has the same functions, each over a device.
#define _POSIX_C_SOURCE 200809L

#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "metertime.h"

#define RESET_VARIABLE "METERTIME_RESET"
#define SECOND_NS 1000000000ull
#define TICK_NS (SECOND_NS / METERTIME_TICK_HZ)
// A meter that fails again and again starts ever more slowly: each start writes to the storage, which wears out.
#define RESTART_MOST_SECONDS 64u

static int line = -1;
static int storage = -1;
static char *const *process_arguments;
static unsigned failures;

static _Noreturn void port_fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

// ---- ticks

static uint64_t port_read_clock(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) port_fail("clock");
  return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t metertime_read_ticks(void) {
  static uint64_t first_ns;
  const uint64_t now_ns = port_read_clock();
  if (first_ns == 0) first_ns = now_ns;
  return (now_ns - first_ns) / TICK_NS;
}

static void port_take_bytes(void) {
  uint8_t bytes[256];
  const ssize_t length = read(line, bytes, sizeof bytes);
  if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) {
    fprintf(stderr, "the line is closed\n");
    exit(0);
  }
  for (ssize_t i = 0; i < length; i++) metertime_accept_byte(bytes[i]);
}

void metertime_wait_until(uint64_t tick) {
  const uint64_t now = metertime_read_ticks();
  int wait_ms = 0;
  if (tick > now) {
    // At most half a second at a time: it may be never.
    const uint64_t wait_ns = tick - now > METERTIME_TICK_HZ / 2 ? SECOND_NS / 2 : (tick - now) * TICK_NS;
    wait_ms = (int)((wait_ns + 999999u) / 1000000u);
  }
  struct pollfd events = {.fd = line, .events = POLLIN};
  if (poll(&events, 1, wait_ms) > 0) port_take_bytes();
}

uint32_t metertime_hold_interrupts(void) {
  return 0;
}

void metertime_restore_interrupts(uint32_t before) {
  (void)before;
}

// ---- line

static int port_open_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    port_fail(path);
  }
  memcpy(address.sun_path, path, strlen(path));
  const int opened = socket(AF_UNIX, SOCK_STREAM, 0);
  if (opened < 0 || connect(opened, (const struct sockaddr *)&address, sizeof address) != 0) port_fail(path);
  return opened;
}

static int port_open_terminal(const char *path) {
  const int opened = open(path, O_RDWR | O_NOCTTY);
  struct termios settings;
  if (opened < 0 || tcgetattr(opened, &settings) != 0) port_fail(path);
  settings.c_iflag = 0;
  settings.c_oflag = 0;
  settings.c_lflag = 0;
  settings.c_cflag = CS8 | CREAD | CLOCAL;
  cfsetispeed(&settings, B38400);
  cfsetospeed(&settings, B38400);
  if (tcsetattr(opened, TCSAFLUSH, &settings) != 0) port_fail(path);
  return opened;
}

void metertime_start_line(void) {
  if (fcntl(line, F_SETFL, O_NONBLOCK) != 0) port_fail("line");
}

// All of the frame at once: nothing else has to be done meanwhile.
void metertime_send_byte(uint8_t byte) {
  uint8_t bytes[256];
  size_t length = 0;
  do {
    bytes[length++] = byte;
  } while (length < sizeof bytes && metertime_next_byte(&byte));
  for (size_t sent = 0; sent < length;) {
    const ssize_t written = write(line, bytes + sent, length - sent);
    if (written > 0) {
      sent += (size_t)written;
    } else if (errno == EAGAIN) {
      struct pollfd room = {.fd = line, .events = POLLOUT};
      poll(&room, 1, -1);
    } else if (errno != EINTR) {
      fprintf(stderr, "the line is closed\n");
      exit(0);
    }
  }
  // What ends the frame, for the line's part of metertime, is that nothing more is asked for.
  if (length == sizeof bytes) metertime_next_byte(&byte);
}

// ---- storage

bool metertime_read_storage(uint32_t offset, uint8_t *into, uint32_t length) {
  return pread(storage, into, length, (off_t)offset) == (ssize_t)length;
}

bool metertime_write_storage(uint32_t offset, const uint8_t *from, uint32_t length) {
  if ((uint64_t)offset + length > METERTIME_STORAGE_BYTES) return false;
  return pwrite(storage, from, length, (off_t)offset) == (ssize_t)length && fdatasync(storage) == 0;
}

// ---- entropy

bool metertime_read_entropy(uint8_t into[32]) {
  const int source = open("/dev/urandom", O_RDONLY);
  if (source < 0) return false;
  const bool read_all = read(source, into, 32) == 32;
  close(source);
  return read_all;
}

// ---- restart: the process begins anew, and finds why in its environment

_Noreturn void metertime_restart(uint8_t cause, uint32_t trap_code) {
  char text[64];
  snprintf(text, sizeof text, "%u %lu %u", cause, (unsigned long)trap_code, cause == RESET_CAUSE_TRAP ? failures + 1 : 0);
  fprintf(stderr, "restart: cause %u, trap code %lu\n", cause, (unsigned long)trap_code);
  unsigned seconds = cause != RESET_CAUSE_TRAP ? 0 : failures < 6 ? (1u << failures) >> 1 : RESTART_MOST_SECONDS;
  while (seconds > 0) seconds = sleep(seconds);
  setenv(RESET_VARIABLE, text, 1);
  close(line);
  close(storage);
  execv("/proc/self/exe", process_arguments);
  port_fail("restart");
}

void port_read_reset(uint8_t *cause, uint32_t *trap_code) {
  const char *text = getenv(RESET_VARIABLE);
  unsigned given_cause;
  unsigned long given_code;
  *cause = RESET_CAUSE_POWER_ON;
  *trap_code = 0;
  if (text == NULL || sscanf(text, "%u %lu %u", &given_cause, &given_code, &failures) != 3) return;
  *cause = (uint8_t)given_cause;
  *trap_code = (uint32_t)given_code;
}

void port_open_parts(const char *line_path, const char *storage_path, char *const *arguments) {
  process_arguments = arguments;
  struct stat about;
  if (stat(line_path, &about) != 0) port_fail(line_path);
  line = S_ISSOCK(about.st_mode) ? port_open_socket(line_path) : port_open_terminal(line_path);
  storage = open(storage_path, O_RDWR);
  if (storage < 0 || fstat(storage, &about) != 0) port_fail(storage_path);
  if (about.st_size != (off_t)METERTIME_STORAGE_BYTES) {
    fprintf(stderr, "%s: %lld bytes, METERTIME_STORAGE_BYTES is %u\n", storage_path, (long long)about.st_size,
            METERTIME_STORAGE_BYTES);
    exit(1);
  }
}
