// How much a flash behind flash_store.c wears while the same days pass again and again, each with other contents.
//
//   wear <file of writes> <days>
//
// The file has, little-endian: offset u32, length u32, bytes; a start of the board is one of no bytes. Counts are those of
// the second half of the days.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab.h"
#include "platform.h"

static uint32_t state = 1;

uint32_t lab_draw(uint32_t limit) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return (uint32_t)((uint64_t)state * limit >> 32);
}

bool lab_take_step(void) {
  return false;
}

_Noreturn void lab_fail_power(void) {
  abort();
}

_Noreturn void lab_report_fault(const char *what, uint32_t a, uint32_t b) {
  fprintf(stderr, "%s: %u, %u\n", what, a, b);
  abort();
}

static void write_bytes(uint32_t offset, const uint8_t *bytes, uint32_t length) {
  memory_begin_write();
  LAB_REQUIRE(storage_write_bytes(offset, bytes, length), "not written", offset, length);
  memory_end_write((offset + length - 1) / 64 - offset / 64 + 1);
}

static void pass_day(const uint8_t *file, size_t file_bytes, uint8_t day) {
  static uint8_t bytes[2048];
  for (size_t at = 0; at < file_bytes;) {
    uint32_t head[2];
    memcpy(head, file + at, sizeof head);
    at += sizeof head;
    if (head[1] == 0) storage_start_device();
    LAB_REQUIRE(head[1] <= sizeof bytes && at + head[1] <= file_bytes, "no such write", head[0], head[1]);
    for (uint32_t i = 0; i < head[1]; i++) bytes[i] = file[at + i] ^ day;
    if (head[1] > 0) write_bytes(head[0], bytes, head[1]);
    at += head[1];
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  FILE *stream = fopen(argv[1], "rb");
  if (stream == NULL) return 2;
  static uint8_t file[1 << 20];
  size_t file_bytes = fread(file, 1, sizeof file, stream);
  fclose(stream);
  uint32_t days = (uint32_t)strtoul(argv[2], NULL, 10);
  memory_clear();
  storage_start_device();
  // In the end all pages have been written.
  for (uint32_t at = 0; at < BOARD_STORAGE_BYTES; at += 64) {
    uint8_t page[64];
    for (uint32_t i = 0; i < sizeof page; i++) page[i] = (uint8_t)lab_draw(256);
    write_bytes(at, page, sizeof page);
  }
  for (uint32_t day = 0; day < days / 2; day++) pass_day(file, file_bytes, (uint8_t)day);
  uint64_t before = memory_count_erases();
  for (uint32_t day = days / 2; day < days; day++) pass_day(file, file_bytes, (uint8_t)day);
  printf("{");
  memory_print_counts();
  printf("\"erasesOfDays\":%llu,\"days\":%u}\n", (unsigned long long)(memory_count_erases() - before), days - days / 2);
  return 0;
}
