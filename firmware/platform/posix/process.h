// The process around the firmware: its arguments, the descriptors that it waits for, and how it ends.
//
// What always holds: descriptors that are kept stay open over a restart, so the gateway's connection and the lock on the
// storage outlast it; the process ends only here.
#ifndef PROCESS_H_
#define PROCESS_H_

#include <stdbool.h>
#include <stdint.h>

#include "platform.h"

/// Exit codes, as those of the command line.
#define PROCESS_FAILED 1
#define PROCESS_USAGE 2

struct process_arguments {
  const char *storage;
  const char *link;
  bool aes_table;
};

extern struct process_arguments process_arguments;

/// Descriptors that a restart leaves open.
enum process_kept { PROCESS_STORAGE, PROCESS_LISTENER, PROCESS_LINE, PROCESS_LINE_FAR, PROCESS_KEPT };

/// The descriptor kept under this name, or -1; for who opened it before the restart.
int process_find_kept(enum process_kept name);
void process_keep(enum process_kept name, int fd);

/// What can be waited for; each has one descriptor at most.
enum process_watch {
  PROCESS_WATCH_LISTENER,
  PROCESS_WATCH_LINE,
  /// The first of DATAGRAM_SOCKETS.
  PROCESS_WATCH_DATAGRAMS,
  PROCESS_WATCHES = PROCESS_WATCH_DATAGRAMS + DATAGRAM_SOCKETS
};

/// From now on `on_ready` is called, while the process waits, with those of `events` (poll(2)) that hold. -1 for none.
void process_watch(enum process_watch name, int fd, short events, void (*on_ready)(short events));

/// At this tick, or soon after it, `on_due` is called while the process waits; replaces the one before.
void process_set_timeout(uint64_t tick, void (*on_due)(void));

/// Says what went wrong, and what to do about it, and ends the process.
_Noreturn void process_fail(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// Says something for people.
void process_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// Called once at the end, for what is to be tidied up: a socket's path.
void process_at_end(void (*tidy)(void));

#endif
