// Random bytes of a process: the kernel's, which waits until it has some.
#include <errno.h>
#include <sys/random.h>

#include "platform.h"

bool entropy_read_bytes(uint8_t into[ENTROPY_BYTES]) {
  ssize_t got;
  do {
    got = getrandom(into, ENTROPY_BYTES, 0);
  } while (got < 0 && errno == EINTR);
  return got == ENTROPY_BYTES;
}
