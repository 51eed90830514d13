// Datagrams of a process: a socket of its own for each request, so each leaves from a fresh port (RFC 9109).
//
// Its duties: it sends a request, stamps it, and hands on what comes from the server's address and port.
// What always holds: a socket is connected, so the kernel passes on nothing from elsewhere; an answer's tick is read after
// it came, and when it came, as the kernel saw it, is an estimate only: the age of the kernel's stamp, of the system's time
// of day, by which the difference of two readings close to each other is all that is made use of.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "platform.h"
#include "process.h"

#define SOCKETS DATAGRAM_SOCKETS

// Answers are heard for so long, and no more than so many.
#define HEAR_TICKS ((uint64_t)BOARD_TICK_HZ * 5u)
#define ANSWERS 4u

#define TICK_NS (1000000000u / BOARD_TICK_HZ)

// A stamp that is older than this is that of a clock that was set.
#define STAMP_MOST_NS 1000000000ll

struct udp_socket {
  uint8_t number;
  uint16_t exchange;
  // 0 where there is no target.
  socklen_t target_bytes;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } target;
  bool is_open;
  int fd;
  uint64_t asked_tick;
  uint64_t sent_tick;
  uint32_t answers;
};

static struct udp_socket sockets[SOCKETS];
static struct datagram answer;
static bool answer_waits;

static void udp_on_ready(short events);

static struct udp_socket *udp_find_socket(uint8_t number) {
  return &sockets[number % SOCKETS];
}

static void udp_watch(const struct udp_socket *socket) {
  enum process_watch name = PROCESS_WATCH_DATAGRAMS + (enum process_watch)(socket - sockets);
  process_watch(name, socket->is_open ? socket->fd : -1, POLLIN, udp_on_ready);
}

static void udp_close(struct udp_socket *socket) {
  if (!socket->is_open) return;
  close(socket->fd);
  socket->is_open = false;
  udp_watch(socket);
}

// Hands on what became of the request; `length` is 0 where it failed.
static void udp_answer(const struct udp_socket *socket, uint8_t failure, uint64_t arrived_tick, uint32_t length) {
  answer.socket = socket->number;
  answer.exchange = socket->exchange;
  answer.failure = failure;
  answer.asked_tick = socket->asked_tick;
  answer.sent_tick = socket->sent_tick;
  answer.length = length;
  answer.tick = tick_read_now();
  // Only where the system's time was set meanwhile.
  if (arrived_tick < socket->sent_tick || arrived_tick > answer.tick) arrived_tick = answer.tick;
  answer.arrived_tick = arrived_tick;
  answer_waits = true;
}

void datagram_set_target(uint8_t number, uint8_t family, uint16_t port, const uint8_t address[16]) {
  struct udp_socket *socket = udp_find_socket(number);
  udp_close(socket);
  memset(&socket->target, 0, sizeof socket->target);
  socket->number = number;
  if (family == 6) {
    socket->target.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    memcpy(&socket->target.v6.sin6_addr, address, 16);
    socket->target_bytes = sizeof socket->target.v6;
  } else {
    socket->target.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    memcpy(&socket->target.v4.sin_addr, address, 4);
    socket->target_bytes = sizeof socket->target.v4;
  }
}

static bool udp_open(struct udp_socket *one) {
  one->fd = socket(one->target.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (one->fd < 0) return false;
  one->is_open = true;
  const int on = 1;
  setsockopt(one->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  return connect(one->fd, &one->target.any, one->target_bytes) == 0;
}

bool datagram_send(uint8_t number, uint16_t exchange, uint64_t asked_tick, const uint8_t *bytes, uint32_t length) {
  struct udp_socket *socket = udp_find_socket(number);
  udp_close(socket);
  if (socket->number != number || socket->target_bytes == 0) return false;
  socket->exchange = exchange;
  socket->asked_tick = asked_tick;
  socket->answers = 0;
  bool sent = udp_open(socket);
  // It leaves within the call; the middle of that is nearest to the moment.
  uint64_t before = tick_read_now();
  sent = sent && send(socket->fd, bytes, length, 0) == (ssize_t)length;
  socket->sent_tick = before + (tick_read_now() - before) / 2;
  if (sent) {
    udp_watch(socket);
  } else {
    udp_close(socket);
  }
  return sent;
}

// About when a datagram came, from the kernel's stamp; the tick now where it has none.
static uint64_t udp_read_arrival(struct msghdr *message) {
  struct timespec stamp = {0};
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS) {
      memcpy(&stamp, CMSG_DATA(part), sizeof stamp);
    }
  }
  uint64_t before = tick_read_now();
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t tick = before + (tick_read_now() - before) / 2;
  if (stamp.tv_sec == 0 || now.tv_sec - stamp.tv_sec > 1 || stamp.tv_sec - now.tv_sec > 1) return tick;
  int64_t age_ns = (now.tv_sec - stamp.tv_sec) * 1000000000ll + (now.tv_nsec - stamp.tv_nsec);
  if (age_ns < 0 || age_ns > STAMP_MOST_NS) return tick;
  return tick - (uint64_t)age_ns / TICK_NS;
}

static void udp_receive(struct udp_socket *socket) {
  union {
    struct cmsghdr aligned;
    uint8_t bytes[CMSG_SPACE(sizeof(struct timespec))];
  } control;
  struct iovec place = {.iov_base = answer.bytes, .iov_len = sizeof answer.bytes};
  struct msghdr message = {
      .msg_iov = &place, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t got = recvmsg(socket->fd, &message, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got < 0) {
    // Nobody listens there, or there is no way to it any more.
    udp_answer(socket, FAILURE_CONNECT, tick_read_now(), 0);
    udp_close(socket);
    return;
  }
  bool late = tick_read_now() - socket->sent_tick > HEAR_TICKS;
  // What was cut off is longer than any answer.
  if (!late && (message.msg_flags & MSG_TRUNC) == 0) {
    udp_answer(socket, FAILURE_NONE, udp_read_arrival(&message), (uint32_t)got);
    socket->answers++;
  }
  if (late || socket->answers == ANSWERS) udp_close(socket);
}

// One answer waits at a time; the others wait in the kernel, with its stamps.
static void udp_on_ready(short events) {
  (void)events;
  for (uint32_t i = 0; i < SOCKETS && !answer_waits; i++) {
    if (sockets[i].is_open) udp_receive(&sockets[i]);
  }
}

const struct datagram *datagram_peek_answer(void) {
  return answer_waits ? &answer : NULL;
}

void datagram_drop_answer(void) {
  answer_waits = false;
}
