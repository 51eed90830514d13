// Storage over flash that is erased in units: a log of pages of 64 bytes, in a ring of units (docs/storage.md).
//
//   unit     0  magic     u32
//            4  sequence  u32   one higher than that of the unit opened before
//            8  erases    u32   of this unit
//           12  CRC-32    u32   of the 12 bytes before
//           16  records         each of 72 bytes; header and record begin at multiples of what the flash programs at once
//   record   0  page      u16   number of the page
//            2  inverted  u16   the same, each bit inverted
//            4  CRC-32    u32   of the record with the unit's sequence in this place; never 0
//            8  data      64
//
// What always holds:
// - Of the records of a page that hold, the one in the unit with the highest sequence counts, in it the last one. So a
//   page is written when the last bit of its record is in the flash, and until then it is as before.
// - A unit is erased only when it has no record that counts, and the records that count instead are programmed to the
//   end. Its header, programmed after the erase, says that the erase was completed: without one that holds, none of its
//   records do. So an erase may be cut off anywhere, and is done again before the unit is used.
// - What is cut off may read otherwise each time. Only the newest record can be of that kind, the place behind it, and the
//   header of a unit without records. A start programs the record and that header again, with the same bits, and then
//   zeros into the place, before anything is read or erased: what it decided holds from then on. A place behind the newest
//   record that has zeros says that this was done. Memory that overwrites blocks reads the same each time, and needs none
//   of this.
// - A page of the caller's is put into a unit only while the next one has no record that counts. So whatever is cut off,
//   and however often, what is copied out of the oldest unit finds room: where even a unit taken for that is used up, it has
//   nothing but copies of what still stands elsewhere, and is erased again. That they are the same is looked up.
// - Units are taken in the order of the ring, whatever their records: so their erase counts are the same, but for one, and
//   for units that fail or that power cuts off.
#include <string.h>

#include "flash_device.h"
#include "platform.h"

#define PAGE_BYTES 64u
#define PAGES (BOARD_STORAGE_BYTES / PAGE_BYTES)
#define UNITS BOARD_STORAGE_UNITS
#define STEP BOARD_STORAGE_PROGRAM_BYTES
// What is programmed in blocks is overwritten (flash_device.h).
#define OVERWRITES (STEP > 4)

#define HEADER_BYTES 16u
#define RECORD_BYTES (8u + PAGE_BYTES)
#define ROUND_UP(bytes) (((bytes) + STEP - 1) / STEP * STEP)
#define RECORDS_AT ROUND_UP(HEADER_BYTES)
#define RECORD_STRIDE ROUND_UP(RECORD_BYTES)
/// Places for records in a unit.
#define SLOTS ((BOARD_STORAGE_UNIT_BYTES - RECORDS_AT) / RECORD_STRIDE)

#define MAGIC 0x3153544du
#define NONE 0xffffu

// Each write copies so many pages out of the oldest unit while fewer units than this are without records that count:
// enough of them for all pages in a row that have to be copied, but no more than half of those that can be had.
#define COPIES_AHEAD 2u
#define UNITS_OF(pages) (((pages) + SLOTS - 1) / SLOTS)
#define FREE_MOST ((UNITS - 1 - UNITS_OF(PAGES)) / 2)
#define FREE_ENOUGH (UNITS_OF(PAGES / COPIES_AHEAD) + 1)
#define FREE_AHEAD (FREE_MOST < FREE_ENOUGH ? FREE_MOST : FREE_ENOUGH)

_Static_assert(BOARD_STORAGE_BYTES % PAGE_BYTES == 0, "the storage has whole pages");
_Static_assert(STEP % 4 == 0, "what is programmed at once has whole words");
_Static_assert(PAGES < NONE && UNITS * SLOTS < NONE, "pages and places have 16 bits");
_Static_assert(UNITS > 3 && (UNITS - 3) * SLOTS >= PAGES,
               "beside all pages, the flash needs a unit that is written, one to copy to, and one that may fail");

// Records that count in a unit, or that it is of no use.
#if BOARD_STORAGE_UNIT_BYTES > 0x4000
typedef uint16_t live_t;
#else
typedef uint8_t live_t;
#endif
#define BROKEN ((live_t)~0u)
_Static_assert(SLOTS < BROKEN, "a unit's records can be counted");

static struct {
  /// What follows is that of the flash.
  bool ready;
  /// Place of each page: unit * SLOTS + slot.
  uint16_t places[PAGES];
  live_t live[UNITS];
  /// The unit that is written, and its next slot.
  uint16_t head;
  uint16_t next;
  /// The highest that was used.
  uint32_t sequence;
  uint32_t erases;
} store;

struct store_header {
  uint32_t magic;
  uint32_t sequence;
  uint32_t erases;
  uint32_t crc;
};

struct store_record {
  /// Page, and above it the same inverted.
  uint32_t name;
  uint32_t crc;
  uint8_t data[PAGE_BYTES];
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are in the flash as in memory");
_Static_assert(sizeof(struct store_header) == HEADER_BYTES && sizeof(struct store_record) == RECORD_BYTES,
               "headers and records are in the flash as in memory");

// ---- bytes

// CRC-32 of IEEE 802.3, half a byte at a time.
static uint32_t store_sum_bytes(const void *from, uint32_t length) {
  static const uint32_t table[16] = {
      0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
      0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
  };
  const uint8_t *bytes = from;
  uint32_t crc = ~0u;
  while (length-- > 0) {
    crc ^= *bytes++;
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

// ---- places

static uint32_t store_locate_slot(uint32_t unit, uint32_t slot) {
  return unit * BOARD_STORAGE_UNIT_BYTES + RECORDS_AT + slot * RECORD_STRIDE;
}

static uint32_t store_locate_place(uint32_t place) {
  return store_locate_slot(place / SLOTS, place % SLOTS);
}

static bool store_compare_bytes(uint32_t offset, const void *expected, uint32_t length) {
  const uint8_t *bytes = expected;
  for (uint32_t at = 0; at < length; at++) {
    uint8_t there;
    if (!flash_read_bytes(offset + at, &there, 1) || there != bytes[at]) return false;
  }
  return true;
}

static bool store_program_bytes(uint32_t offset, const void *from, uint32_t length) {
  return flash_program_words(offset, from, length) && store_compare_bytes(offset, from, length);
}

// No record can hold here any more. A second time is for the case that the first was cut off; it takes the next word, as
// some flash bears only two programs of a word.
static void store_void_slot(uint32_t unit, uint32_t slot, bool again) {
  static const uint8_t zeros[4];
  if (again && OVERWRITES) return;
  flash_program_words(store_locate_slot(unit, slot) + (again ? 4 : 0), zeros, sizeof zeros);
}

// ---- what is in the flash

static bool store_read_header(uint32_t unit, struct store_header *header) {
  return flash_read_bytes(unit * BOARD_STORAGE_UNIT_BYTES, (uint8_t *)header, sizeof *header);
}

static bool store_holds_header(const struct store_header *header) {
  return header->magic == MAGIC && header->crc == store_sum_bytes(header, 12);
}

static bool store_read_record(uint32_t place, struct store_record *record) {
  return flash_read_bytes(store_locate_place(place), (uint8_t *)record, sizeof *record);
}

static void store_seal_record(struct store_record *record, uint32_t sequence) {
  record->crc = sequence;
  uint32_t crc = store_sum_bytes(record, sizeof *record);
  record->crc = crc != 0 ? crc : 1;
}

// The page of a record that was read; NONE when it does not hold.
static uint32_t store_check_record(struct store_record *record, uint32_t sequence) {
  uint32_t page = record->name & 0xffff;
  if (page >= PAGES || record->name >> 16 != (page ^ 0xffff)) return NONE;
  uint32_t crc = record->crc;
  store_seal_record(record, sequence);
  return record->crc == crc ? page : NONE;
}

// Finds what counts, as if the unit `without` had no records. `newest` becomes the place of the newest record.
static bool store_scan_units(uint32_t without, uint32_t *newest) {
  struct store_header header;
  struct store_header other;
  struct store_record record;
  uint32_t newest_sequence = 0;
  *newest = NONE;
  memset(&store, 0, sizeof store);
  memset(store.places, 0xff, sizeof store.places);
  store.head = UNITS - 1;
  store.next = SLOTS;
  for (uint32_t unit = 0; unit < UNITS; unit++) {
    if (!store_read_header(unit, &header)) return false;
    if (!store_holds_header(&header)) continue;
    if (header.erases > store.erases) store.erases = header.erases;
    if (header.sequence > store.sequence) {
      store.sequence = header.sequence;
      if (unit != without) store.head = (uint16_t)unit;
    }
    if (unit == without) continue;
    for (uint32_t place = unit * SLOTS; place < (unit + 1) * SLOTS; place++) {
      if (!store_read_record(place, &record)) return false;
      uint32_t page = store_check_record(&record, header.sequence);
      if (page == NONE) continue;
      if (header.sequence >= newest_sequence) {
        newest_sequence = header.sequence;
        *newest = place;
      }
      uint32_t before = store.places[page];
      if (before != NONE) {
        if (!store_read_header(before / SLOTS, &other)) return false;
        if (other.sequence > header.sequence) continue;
        store.live[before / SLOTS]--;
      }
      store.places[page] = (uint16_t)place;
      store.live[unit]++;
    }
  }
  return true;
}

static bool store_is_void(uint32_t slot) {
  uint32_t words[2];
  if (!flash_read_bytes(store_locate_slot(store.head, slot), (uint8_t *)words, sizeof words)) return false;
  return words[0] == 0 || words[1] == 0;
}

// Programs the newest record again, with the bits with which it holds; where these are not there any more, or do not stay,
// it holds no longer: then no other start can find that it does.
static bool store_settle_record(uint32_t place) {
  struct store_header header;
  struct store_record record;
  if (!store_read_header(place / SLOTS, &header) || !store_read_record(place, &record)) return false;
  if (store_check_record(&record, header.sequence) != NONE &&
      store_program_bytes(store_locate_place(place), &record, sizeof record)) {
    return true;
  }
  store_void_slot(place / SLOTS, place % SLOTS, false);
  store_void_slot(place / SLOTS, place % SLOTS, true);
  return false;
}

static bool store_settle_header(uint32_t unit) {
  struct store_header header;
  return store_read_header(unit, &header) && store_holds_header(&header) &&
         store_program_bytes(unit * BOARD_STORAGE_UNIT_BYTES, &header, sizeof header);
}

// Leaves nothing in doubt that power may have cut off; false when what was found is there no longer.
static bool store_settle_newest(uint32_t newest) {
  if (store.sequence == 0) return true;
  bool inside = newest != NONE && newest / SLOTS == store.head;
  uint32_t first = inside ? newest % SLOTS + 1 : 0;
  uint32_t slot = first;
  store.next = (uint16_t)first;
  if (OVERWRITES) return true;
  while (slot < SLOTS && store_is_void(slot)) slot++;
  if (slot > first) {
    store_void_slot(store.head, slot - 1, true);
  } else {
    if (newest != NONE && !store_settle_record(newest)) return false;
    if (!inside && !store_settle_header(store.head)) return false;
  }
  if (slot < SLOTS) store_void_slot(store.head, slot++, false);
  store.next = (uint16_t)slot;
  return true;
}

// What is in doubt may be found several times and then not be there.
static bool store_make_ready(void) {
  uint32_t newest;
  for (uint32_t i = 0; i < 8 && !store.ready; i++) {
    if (!store_scan_units(NONE, &newest)) return false;
    store.ready = store_settle_newest(newest);
  }
  return store.ready;
}

// ---- the log

// The unit so many behind the head.
static uint32_t store_follow_ring(uint32_t units) {
  return (store.head + units) % UNITS;
}

// Units without records that count, from behind the head to the first one with any. Others are not looked at, however
// long it was that their records were not touched: so all of them come to be erased.
static uint32_t store_count_free(void) {
  uint32_t count = 0;
  for (uint32_t i = 1; i < UNITS; i++) {
    live_t live = store.live[store_follow_ring(i)];
    if (live == BROKEN) continue;
    if (live > 0) break;
    count++;
  }
  return count;
}

static bool store_open_unit(uint32_t unit) {
  struct store_header header;
  if (!store_read_header(unit, &header)) return false;
  // What an erase that was cut off has taken with it.
  if (!store_holds_header(&header)) header.erases = store.erases > 0 ? store.erases - 1 : 0;
  header.magic = MAGIC;
  header.sequence = ++store.sequence;
  header.erases++;
  header.crc = store_sum_bytes(&header, 12);
  if (!flash_erase_unit(unit)) return false;
  if (!store_program_bytes(unit * BOARD_STORAGE_UNIT_BYTES, &header, sizeof header)) return false;
  store.head = (uint16_t)unit;
  store.next = 0;
  if (header.erases > store.erases) store.erases = header.erases;
  return true;
}

// Goes on to the next unit of the ring without a record that counts; this may be the head itself.
static bool store_open_next(void) {
  for (uint32_t i = 1; i <= UNITS; i++) {
    uint32_t unit = store_follow_ring(i);
    if (store.live[unit] != 0) continue;
    if (store_open_unit(unit)) return true;
    store.live[unit] = BROKEN;
  }
  return false;
}

// Puts a record of a page behind the last one; places where it does not stay are passed over.
static bool store_append_page(uint32_t page, struct store_record *record) {
  record->name = page | (page ^ 0xffff) << 16;
  store_seal_record(record, store.sequence);
  while (store.next < SLOTS) {
    uint32_t slot = store.next++;
    if (!store_program_bytes(store_locate_slot(store.head, slot), record, sizeof *record)) {
      store_void_slot(store.head, slot, false);
      store_void_slot(store.head, slot, true);
      continue;
    }
    uint32_t before = store.places[page];
    if (before != NONE) store.live[before / SLOTS]--;
    store.places[page] = (uint16_t)(store.head * SLOTS + slot);
    store.live[store.head]++;
    return true;
  }
  return false;
}

// Copies a page out of the unit that is the next in the ring to have one. Its data are not judged: what they are worth, the
// core finds out.
static bool store_copy_page(void) {
  struct store_record record;
  for (uint32_t i = 1; i < UNITS; i++) {
    uint32_t unit = store_follow_ring(i);
    if (store.live[unit] == 0 || store.live[unit] == BROKEN) continue;
    uint32_t page = 0;
    while (store.places[page] - unit * SLOTS >= SLOTS) page++;
    return store_read_record(store.places[page], &record) && store_append_page(page, &record);
  }
  return false;
}

// Whether each record of the head is there again in another unit; then it counts there, and the head has none that does.
static bool store_give_up_head(void) {
  struct store_header header;
  struct store_record record;
  uint32_t newest;
  uint32_t head = store.head;
  bool same = store_read_header(head, &header) && store_holds_header(&header) && store_scan_units(head, &newest);
  for (uint32_t place = head * SLOTS; same && place < (head + 1) * SLOTS; place++) {
    same = store_read_record(place, &record);
    uint32_t page = store_check_record(&record, header.sequence);
    if (page == NONE) continue;
    uint32_t other = store.places[page];
    same = same && other != NONE && store_compare_bytes(store_locate_place(other) + 8, record.data, PAGE_BYTES);
  }
  store.ready = same;
  return same;
}

// Makes room for one record of the caller's.
static bool store_make_room(void) {
  for (uint32_t i = 0; i < COPIES_AHEAD && store.next < SLOTS && store_count_free() < FREE_AHEAD; i++) {
    if (!store_copy_page()) break;
  }
  bool gave_up = false;
  // No more than all records once, and all units.
  for (uint32_t i = 0; i < UNITS * (SLOTS + 1); i++) {
    if (store.next < SLOTS) {
      if (store_count_free() > 0) return true;
      if (!store_copy_page() && store.next < SLOTS) return false;
    } else if (!store_open_next()) {
      if (gave_up || !store_give_up_head()) return false;
      gave_up = true;
    }
  }
  return false;
}

// ---- storage

static bool store_check_range(uint32_t offset, uint32_t length) {
  return offset <= BOARD_STORAGE_BYTES && length <= BOARD_STORAGE_BYTES - offset;
}

// A page that was never written has the bytes of flash that was erased.
static bool store_read_page(uint32_t page, uint32_t from, uint8_t *into, uint32_t length) {
  uint32_t place = store.places[page];
  if (place != NONE) return flash_read_bytes(store_locate_place(place) + 8 + from, into, length);
  memset(into, 0xff, length);
  return true;
}

void storage_start_device(void) {
  flash_start_device();
  store.ready = false;
  store_make_ready();
}

bool storage_read_bytes(uint32_t offset, uint8_t *into, uint32_t length) {
  if (!store_check_range(offset, length) || !store_make_ready()) return false;
  while (length > 0) {
    uint32_t from = offset % PAGE_BYTES;
    uint32_t part = PAGE_BYTES - from < length ? PAGE_BYTES - from : length;
    if (!store_read_page(offset / PAGE_BYTES, from, into, part)) return false;
    offset += part;
    into += part;
    length -= part;
  }
  return true;
}

bool storage_write_bytes(uint32_t offset, const uint8_t *from, uint32_t length) {
  struct store_record record;
  if (!store_check_range(offset, length)) return false;
  while (length > 0) {
    uint32_t page = offset / PAGE_BYTES;
    uint8_t *to = record.data + offset % PAGE_BYTES;
    uint32_t part = PAGE_BYTES - offset % PAGE_BYTES < length ? PAGE_BYTES - offset % PAGE_BYTES : length;
    if (!store_make_ready() || !store_read_page(page, 0, record.data, PAGE_BYTES)) return false;
    // What is there already is not written again: that would wear the flash out for nothing.
    bool same = true;
    for (uint32_t i = 0; i < part; i++) {
      if (to[i] != from[i]) same = false;
      to[i] = from[i];
    }
    if (!same && !(store_make_room() && store_append_page(page, &record))) return false;
    offset += part;
    from += part;
    length -= part;
  }
  return true;
}

uint32_t flash_store_read_erases(uint32_t unit) {
  struct store_header header;
  return store_read_header(unit, &header) && store_holds_header(&header) ? header.erases : 0;
}
