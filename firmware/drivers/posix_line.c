// The link's line of a process: a socket on which it listens, a pseudo terminal that it makes, or a serial device.
//
// Its duties: it moves bytes, as a UART does, and tells a frame's end by its zero. Bytes that come together have one tick,
// that of their read.
// What always holds: at most one gateway is connected; without one, what the meter sends is lost, as on a wire. Only so
// many bytes are read at once as there is room for, the others wait in the kernel. A frame goes out whole, or as much at a
// time as the other end takes; its stamp is that of the first try. A serial device takes more than it has sent: the next frame
// waits until this one must have left.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "line.h"
#include "platform.h"
#include "process.h"

// Frames of the link are rarely shorter, so no more come at once than there is room for.
#define READ_BYTES (16u * BOARD_LINK_FRAMES)

static int listener = -1;
static int line = -1;
// Of a serial device, else 0.
static unsigned long line_baud;
// What is named by a path that has to go at the end.
static const char *made_path;

static uint8_t outgoing[LINK_FRAME_BYTES];
static uint32_t outgoing_length;
static uint32_t outgoing_next;

static void line_on_ready(short events);

static void line_set_watch(void) {
  short events = outgoing_next < outgoing_length ? POLLIN | POLLOUT : POLLIN;
  process_watch(PROCESS_WATCH_LINE, line, events, line_on_ready);
}

static void line_end_frame(void) {
  uint8_t none;
  process_set_timeout(UINT64_MAX, line_end_frame);
  outgoing_length = 0;
  outgoing_next = 0;
  // All have left: the line is told by asking for one more.
  line_next_byte(&none);
}

// Ten bits a byte.
static void line_await_end(void) {
  if (line_baud == 0) {
    line_end_frame();
    return;
  }
  uint64_t ticks = (uint64_t)outgoing_length * 10u * BOARD_TICK_HZ / line_baud;
  process_set_timeout(tick_read_now() + ticks, line_end_frame);
}

static void line_on_connection(short events);

static void line_close(void) {
  if (listener < 0) process_fail(PROCESS_FAILED, "the link %s is gone", process_arguments.link);
  close(line);
  line = -1;
  process_keep(PROCESS_LINE, line);
  line_set_watch();
  process_watch(PROCESS_WATCH_LISTENER, listener, POLLIN, line_on_connection);
  if (outgoing_length > 0) line_end_frame();
}

static bool line_is_again(void) {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void line_write(void) {
  while (line >= 0 && outgoing_next < outgoing_length) {
    ssize_t put = write(line, outgoing + outgoing_next, outgoing_length - outgoing_next);
    if (put < 0) {
      if (line_is_again()) {
        line_set_watch();
        return;
      }
      line_close();
      return;
    }
    outgoing_next += (uint32_t)put;
  }
  if (line >= 0) line_set_watch();
  if (outgoing_length > 0) line_await_end();
}

static void line_read(void) {
  uint8_t bytes[READ_BYTES];
  ssize_t got = read(line, bytes, sizeof bytes);
  if (got > 0) {
    for (ssize_t i = 0; i < got; i++) line_accept_byte(bytes[i]);
  } else if (got == 0 || !line_is_again()) {
    line_close();
  }
}

static void line_on_ready(short events) {
  if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) line_read();
  if (line >= 0 && (events & POLLOUT) != 0) line_write();
}

static void line_take(int fd) {
  line = fd;
  process_keep(PROCESS_LINE, line);
  line_set_watch();
}

// Others wait until this one has gone.
static void line_on_connection(short events) {
  (void)events;
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (fd < 0) return;
  process_watch(PROCESS_WATCH_LISTENER, -1, 0, NULL);
  line_take(fd);
}

void uart_send_byte(uint8_t byte) {
  outgoing[0] = byte;
  outgoing_length = 1;
  outgoing_next = 0;
  // The last byte is not asked for what follows it before all have left.
  while (outgoing_length < LINK_FRAME_BYTES && line_next_byte(&outgoing[outgoing_length])) {
    if (outgoing[outgoing_length++] == 0) break;
  }
  line_write();
}

// ---- opening

static const char *line_after(const char *text, const char *begin) {
  size_t length = strlen(begin);
  return strncmp(text, begin, length) == 0 ? text + length : NULL;
}

static void line_remove_path(void) {
  unlink(made_path);
}

static _Noreturn void line_fail(const char *what) {
  process_fail(PROCESS_FAILED, "the link %s cannot be %s: %s", process_arguments.link, what, strerror(errno));
}

static void line_listen(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  // Who finds the path can connect: it gets its name when the socket listens.
  int length = snprintf(address.sun_path, sizeof address.sun_path, "%s.%d", path, (int)getpid());
  if (length < 0 || (size_t)length >= sizeof address.sun_path) {
    process_fail(PROCESS_USAGE, "the path of a socket has at most %zu bytes; choose a shorter one than %s",
                 sizeof address.sun_path - 12, path);
  }
  listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0) line_fail("made");
  if (listen(listener, 4) != 0 || rename(address.sun_path, path) != 0) {
    unlink(address.sun_path);
    line_fail("made");
  }
}

static speed_t line_find_speed(unsigned long baud) {
  static const struct {
    unsigned long baud;
    speed_t speed;
  } speeds[] = {
      {9600, B9600},     {19200, B19200},   {38400, B38400},   {57600, B57600},     {115200, B115200},
      {230400, B230400}, {460800, B460800}, {921600, B921600}, {1000000, B1000000},
  };
  for (unsigned i = 0; i < sizeof speeds / sizeof *speeds; i++) {
    if (speeds[i].baud == baud) return speeds[i].speed;
  }
  process_fail(PROCESS_USAGE, "the link %s: %lu baud is not one of 9600 to 1000000 that serial lines have",
               process_arguments.link, baud);
}

static void line_set_raw(int fd, unsigned long baud) {
  struct termios settings;
  if (tcgetattr(fd, &settings) != 0) line_fail("used");
  cfmakeraw(&settings);
  settings.c_cflag |= CLOCAL | CREAD;
  settings.c_cflag &= ~(tcflag_t)(CRTSCTS | CSTOPB);
  settings.c_cc[VMIN] = 1;
  settings.c_cc[VTIME] = 0;
  speed_t speed = line_find_speed(baud);
  if (cfsetspeed(&settings, speed) != 0 || tcsetattr(fd, TCSANOW, &settings) != 0) line_fail("set");
}

static int line_open_serial(const char *text) {
  unsigned long baud = BOARD_LINK_BAUD;
  char path[256];
  const char *query = strchr(text, '?');
  size_t length = query == NULL ? strlen(text) : (size_t)(query - text);
  if (length >= sizeof path) process_fail(PROCESS_USAGE, "the link %s has too long a path", process_arguments.link);
  memcpy(path, text, length);
  path[length] = 0;
  if (query != NULL) {
    const char *number = line_after(query, "?baud=");
    char *end = NULL;
    if (number != NULL) baud = strtoul(number, &end, 10);
    if (number == NULL || end == number || *end != 0) {
      process_fail(PROCESS_USAGE, "the link %s: expected serial:PATH?baud=NUMBER", process_arguments.link);
    }
  }
  line_baud = baud;
  int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) line_fail("opened");
  if (ioctl(fd, TIOCEXCL) != 0) line_fail("used");
  line_set_raw(fd, baud);
  tcflush(fd, TCIOFLUSH);
  return fd;
}

static int line_make_pty(const char *path) {
  int fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0) line_fail("made");
  const char *name = ptsname(fd);
  // Held open, or the line would end with its first gateway.
  int far = name == NULL ? -1 : open(name, O_RDWR | O_NOCTTY);
  if (far < 0) line_fail("made");
  line_set_raw(far, BOARD_LINK_BAUD);
  process_keep(PROCESS_LINE_FAR, far);
  unlink(path);
  if (symlink(name, path) != 0) line_fail("made");
  return fd;
}

void uart_start_device(void) {
  const char *where = process_arguments.link;
  const char *socket_path = line_after(where, "unix:");
  const char *pty_path = line_after(where, "pty:");
  const char *serial_path = line_after(where, "serial:");
  made_path = socket_path != NULL ? socket_path : pty_path;
  if (made_path == NULL && serial_path == NULL) {
    process_fail(PROCESS_USAGE, "the link %s: expected unix:PATH, pty:PATH or serial:PATH", where);
  }
  listener = process_find_kept(PROCESS_LISTENER);
  int fd = process_find_kept(PROCESS_LINE);
  if (socket_path != NULL && listener < 0) {
    line_listen(socket_path);
    process_keep(PROCESS_LISTENER, listener);
  }
  if (pty_path != NULL && fd < 0) fd = line_make_pty(pty_path);
  if (serial_path != NULL && fd < 0) fd = line_open_serial(serial_path);
  if (made_path != NULL) process_at_end(line_remove_path);
  if (fd >= 0) line_take(fd);
  if (fd < 0) process_watch(PROCESS_WATCH_LISTENER, listener, POLLIN, line_on_connection);
}
