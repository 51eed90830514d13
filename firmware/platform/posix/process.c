// Arguments, waiting, restarts and ends of the process.
//
// What always holds: signals that end it are let through only while it waits, so no write to the storage is cut off by
// one. A restart replaces the program by itself (execve), with fresh memory and the same arguments and kept descriptors;
// why it happened goes along in a file in memory. The system's time of day is never asked. The counter stands still while
// the system is suspended: the process then starts anew, as after a power cut.
#define _GNU_SOURCE
#include "process.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"
#include "firmware_identity.h"
#include "platform.h"
#include "posix_timer.h"
#include "reset.h"

// Descriptor of the memory that outlasts a restart; for who is started anew.
#define KEPT_VARIABLE "METERTIME_RESTART"
#define KEPT_MAGIC 0x4D54504Bu

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PROCESS_SANITIZED 1
#endif
#endif

struct kept {
  uint32_t magic;
  int fds[PROCESS_KEPT];
  struct reset_record reset;
};

struct process_arguments process_arguments;

static struct kept kept = {.magic = KEPT_MAGIC};
static int kept_fd = -1;
static char **arguments;

static struct pollfd watched[PROCESS_WATCHES];
static void (*handlers[PROCESS_WATCHES])(short events);
static uint64_t timeout_tick = UINT64_MAX;
static void (*on_timeout)(void);
static void (*tidy_up)(void);

static volatile sig_atomic_t ending;
// Signals that end the process, and those that are held back while it waits.
static sigset_t held_mask;
static sigset_t waiting_mask;

void process_note(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("metertime: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  va_end(values);
}

void process_at_end(void (*tidy)(void)) {
  tidy_up = tidy;
}

static _Noreturn void process_end(int exit_code) {
  if (tidy_up != NULL) tidy_up();
  exit(exit_code);
}

_Noreturn void process_fail(int exit_code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("metertime: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  va_end(values);
  process_end(exit_code);
}

// ---- arguments

static const char usage[] =
    "Usage: " BOARD_NAME " --storage FILE --link LINK\n"
    "\n"
    "A meter that is a process: the core of metertime " FIRMWARE_VERSION ", compiled for this machine.\n"
    "\n"
    "  --storage FILE   its storage, as metertime provision FILE --board " BOARD_NAME " writes it\n"
    "  --link LINK      where its gateway is:\n"
    "                     unix:PATH                 listens on a socket of that name\n"
    "                     pty:PATH                  makes a pseudo terminal, and PATH a link to it\n"
    "                     serial:PATH[?baud=N]      a serial device; default 115200\n"
    "  --aes WAY        bitsliced (default), or table: faster, and its timing may tell others on this machine the keys\n"
    "  --help           says this\n"
    "  --version        says what it is\n"
    "\n"
    "Exit codes: 0 ended by SIGTERM, SIGINT or SIGHUP; 1 storage or link failed; 2 wrong arguments.\n";

static void process_read_arguments(int argc, char **argv) {
  enum { HELP = 1, VERSION, STORAGE, LINK, AES };
  static const struct option known[] = {
      {"help", no_argument, NULL, HELP},
      {"version", no_argument, NULL, VERSION},
      {"storage", required_argument, NULL, STORAGE},
      {"link", required_argument, NULL, LINK},
      {"aes", required_argument, NULL, AES},
      {0},
  };
  int option;
  while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (option) {
      case HELP:
        fputs(usage, stdout);
        exit(0);
      case VERSION:
        puts(BOARD_NAME " " FIRMWARE_VERSION);
        exit(0);
      case STORAGE:
        process_arguments.storage = optarg;
        break;
      case LINK:
        process_arguments.link = optarg;
        break;
      case AES:
        process_arguments.aes_table = strcmp(optarg, "table") == 0;
        if (!process_arguments.aes_table && strcmp(optarg, "bitsliced") != 0) {
          process_fail(PROCESS_USAGE, "--aes %s: expected bitsliced or table", optarg);
        }
        break;
      default:
        // getopt_long has said what is wrong.
        fputs("Try --help.\n", stderr);
        exit(PROCESS_USAGE);
    }
  }
  if (optind < argc) process_fail(PROCESS_USAGE, "%s is not expected; try --help", argv[optind]);
  if (process_arguments.storage == NULL) process_fail(PROCESS_USAGE, "--storage FILE is missing; try --help");
  if (process_arguments.link == NULL) process_fail(PROCESS_USAGE, "--link LINK is missing; try --help");
}

bool process_wants_table(void) {
  return process_arguments.aes_table;
}

// ---- what outlasts a restart

int process_find_kept(enum process_kept name) {
  return kept.fds[name];
}

void process_keep(enum process_kept name, int fd) {
  kept.fds[name] = fd;
}

static bool process_take_kept(void) {
  const char *number = getenv(KEPT_VARIABLE);
  if (number == NULL) return false;
  struct kept before;
  int fd = atoi(number);
  if (fd <= STDERR_FILENO || pread(fd, &before, sizeof before, 0) != sizeof before) return false;
  if (before.magic != KEPT_MAGIC) return false;
  kept = before;
  kept_fd = fd;
  reset_record = before.reset;
  return true;
}

static void process_prepare_kept(void) {
  if (process_take_kept()) return;
  for (int name = 0; name < PROCESS_KEPT; name++) kept.fds[name] = -1;
  kept_fd = memfd_create("metertime", 0);
  char number[16];
  snprintf(number, sizeof number, "%d", kept_fd);
  if (kept_fd < 0 || setenv(KEPT_VARIABLE, number, 1) != 0) {
    process_fail(PROCESS_FAILED, "no memory for what outlasts a restart: %s", strerror(errno));
  }
}

// Also from handlers of signals: what is called from here may be called there (signal-safety(7)).
static void process_tell_restart(uint32_t code) {
  char text[] = "metertime: starting anew, trap code           \n";
  char *digit = text + sizeof text - 3;
  do {
    *digit-- = (char)('0' + code % 10u);
    code /= 10u;
  } while (code > 0);
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0) return;
}

_Noreturn void cpu_reset_board(void) {
  kept.reset = reset_record;
  process_tell_restart(reset_record.trap_code);
  if (pwrite(kept_fd, &kept, sizeof kept, 0) == sizeof kept) {
    // Faults are let through again; one that is to end the process is not lost.
    sigprocmask(SIG_SETMASK, &held_mask, NULL);
    execve("/proc/self/exe", arguments, environ);
  }
  static const char failed[] = "metertime: cannot start anew\n";
  if (write(STDERR_FILENO, failed, sizeof failed - 1) < 0) _exit(PROCESS_FAILED);
  _exit(PROCESS_FAILED);
}

// ---- signals

static void process_on_end(int signal) {
  (void)signal;
  ending = 1;
}

#ifndef PROCESS_SANITIZED
// A sanitizer reports faults itself, and ends the process.
static void process_on_fault(int signal) {
  reset_restart_board(RESET_CAUSE_TRAP, TRAP_CODE_FAULT + (uint32_t)signal);
}

static void process_catch_faults(void) {
  // The stack may be what is exhausted.
  static char stack[16384];
  const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternative, NULL);
  const struct sigaction fault = {.sa_handler = process_on_fault, .sa_flags = SA_ONSTACK};
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &fault, NULL);
}
#endif

static void process_prepare_signals(void) {
  const struct sigaction end = {.sa_handler = process_on_end};
  const int signals[] = {SIGTERM, SIGINT, SIGHUP};
  sigemptyset(&held_mask);
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
    sigaction(signals[i], &end, NULL);
    sigaddset(&held_mask, signals[i]);
  }
  sigprocmask(SIG_BLOCK, &held_mask, &waiting_mask);
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigdelset(&waiting_mask, signals[i]);
  // Their writes fail instead.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
#ifndef PROCESS_SANITIZED
  process_catch_faults();
#endif
}

// ---- waiting

static uint64_t process_read_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// How long the system was suspended since it started, at least; `most` is what that was at most. Both clocks are slewed
// alike, and only one counts on while the system is suspended.
static uint64_t process_read_suspended(uint64_t *most) {
  uint64_t before = process_read_ns(CLOCK_MONOTONIC);
  uint64_t with = process_read_ns(CLOCK_BOOTTIME);
  uint64_t after = process_read_ns(CLOCK_MONOTONIC);
  *most = with - before;
  return with > after ? with - after : 0;
}

static void process_restart_after_suspension(void) {
  static uint64_t most_before = UINT64_MAX;
  uint64_t most;
  uint64_t least = process_read_suspended(&most);
  if (least > most_before) {
    process_note("the system was suspended: starting anew");
    reset_record.magic = 0;
    cpu_reset_board();
  }
  if (most < most_before) most_before = most;
}

void process_watch(enum process_watch name, int fd, short events, void (*on_ready)(short events)) {
  watched[name] = (struct pollfd){.fd = fd, .events = events};
  handlers[name] = on_ready;
}

void process_set_timeout(uint64_t tick, void (*on_due)(void)) {
  timeout_tick = tick;
  on_timeout = on_due;
}

void cpu_wait_for_interrupt(void) {
  struct timespec left;
  timer_read_left(timeout_tick, &left);
  int ready = ppoll(watched, PROCESS_WATCHES, &left, &waiting_mask);
  if (ending) process_end(0);
  process_restart_after_suspension();
  if (tick_read_now() >= timeout_tick) on_timeout();
  if (ready <= 0) return;
  for (int name = 0; name < PROCESS_WATCHES; name++) {
    // One of those before may have ended this one.
    if (watched[name].fd >= 0 && watched[name].revents != 0) handlers[name](watched[name].revents);
  }
}

void process_start(int argc, char **argv) {
  arguments = argv;
  process_read_arguments(argc, argv);
  process_prepare_kept();
  process_prepare_signals();
  for (int name = 0; name < PROCESS_WATCHES; name++) watched[name].fd = -1;
}
