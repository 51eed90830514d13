// Storage of a process: a file of the board's size, which nobody else may use meanwhile.
//
// What always holds: room for all of it is there before the meter starts, so a full disk is found then and not when a
// cookie is to be written; what is "written" has been handed to the disk (fdatasync) and reads back.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform.h"
#include "process.h"

static int file = -1;
// What was last said of it: a disk that fails does so again and again.
static int told;

static void file_open(const char *path) {
  file = open(path, O_RDWR);
  if (file < 0 && errno == ENOENT) {
    process_fail(PROCESS_FAILED, "there is no storage %s; metertime provision --board " BOARD_NAME " writes one", path);
  }
  if (file < 0) process_fail(PROCESS_FAILED, "the storage %s cannot be written: %s", path, strerror(errno));
  struct stat about;
  if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) process_fail(PROCESS_FAILED, "%s is not a file", path);
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    process_fail(PROCESS_FAILED, "the storage %s is in use by another meter: %s", path, strerror(errno));
  }
  if (about.st_size != BOARD_STORAGE_BYTES) {
    process_fail(PROCESS_FAILED, "the storage %s has %lld bytes, expected %u; metertime provision --board " BOARD_NAME
                 " writes one", path, (long long)about.st_size, BOARD_STORAGE_BYTES);
  }
  int full = posix_fallocate(file, 0, BOARD_STORAGE_BYTES);
  if (full != 0) process_fail(PROCESS_FAILED, "no room for the whole storage %s: %s", path, strerror(full));
}

void storage_start_device(void) {
  file = process_find_kept(PROCESS_STORAGE);
  if (file >= 0) return;
  file_open(process_arguments.storage);
  process_keep(PROCESS_STORAGE, file);
}

static bool file_covers(uint32_t offset, uint32_t length) {
  return offset <= BOARD_STORAGE_BYTES && length <= BOARD_STORAGE_BYTES - offset;
}

// Says why, unless that was said before, and returns false.
static bool file_fail(const char *what) {
  if (errno != told) process_note("the storage %s cannot be %s: %s", process_arguments.storage, what, strerror(errno));
  told = errno;
  return false;
}

bool storage_read_bytes(uint32_t offset, uint8_t *into, uint32_t length) {
  if (!file_covers(offset, length)) return false;
  for (uint32_t done = 0; done < length;) {
    ssize_t got = pread(file, into + done, length - done, offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = ENODATA;
    if (got <= 0) return file_fail("read");
    done += (uint32_t)got;
  }
  return true;
}

static bool file_write(uint32_t offset, const uint8_t *from, uint32_t length) {
  for (uint32_t done = 0; done < length;) {
    ssize_t put = pwrite(file, from + done, length - done, offset + done);
    if (put < 0 && errno == EINTR) continue;
    if (put == 0) errno = ENOSPC;
    if (put <= 0) return file_fail("written");
    done += (uint32_t)put;
  }
  return fdatasync(file) == 0 || file_fail("written");
}

static bool file_holds(uint32_t offset, const uint8_t *bytes, uint32_t length) {
  uint8_t piece[64];
  for (uint32_t done = 0; done < length; done += sizeof piece) {
    uint32_t count = length - done < sizeof piece ? length - done : sizeof piece;
    if (!storage_read_bytes(offset + done, piece, count)) return false;
    if (memcmp(piece, bytes + done, count) != 0) return false;
  }
  return true;
}

bool storage_write_bytes(uint32_t offset, const uint8_t *from, uint32_t length) {
  if (!file_covers(offset, length)) return false;
  if (!file_write(offset, from, length) || !file_holds(offset, from, length)) return false;
  told = 0;
  return true;
}
