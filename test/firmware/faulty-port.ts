// A port that is at fault: the example of `metertime export`, with a clock, a thermometer and registers, and one of many
// faults, by its number in the environment.

/** What stands once in a file of the export, and what is put in its place. */
export type Change = readonly [file: string, what: string, by: string];

export interface Fault {
  readonly what: string;
  /** What the checks say of it. */
  readonly found: RegExp;
  /** They do so where `fault` is this one's number, from 1; those of several faults stand with the first. */
  readonly changes: readonly Change[];
}

const port = 'example/port.c';
const write = 'return pwrite(storage, from, length, (off_t)offset) == (ssize_t)length && fdatasync(storage) == 0;';

/** For the compiler: that the port has parts. */
export const partFlags = ['RTC', 'THERMOMETER', 'REGISTERS'].map((part) => `-DMETERTIME_HAS_${part}=1`).join(' ');

/** The parts, and the number of the fault. */
export const parts: readonly Change[] = [
  [port, 'static unsigned failures;', 'static unsigned failures;\nint fault;'],
  [port, '  process_arguments = arguments;', '  process_arguments = arguments;\n  fault = atoi(getenv("FAULT"));'],
  [
    port,
    '// ---- restart:',
    `static struct tm shown;
static uint64_t shown_since;
bool metertime_set_rtc(const struct metertime_rtc_time *t) {
  shown = (struct tm){.tm_year = t->year - 1900, .tm_mon = t->month - 1, .tm_mday = t->day, .tm_hour = t->hour, .tm_min = t->minute, .tm_sec = t->second};
  shown_since = metertime_read_ticks();
  return true;
}
void metertime_read_rtc(struct metertime_rtc_time *t) {
  struct tm now = shown;
  if (fault != 14) now.tm_sec += (int)((metertime_read_ticks() - shown_since) / METERTIME_TICK_HZ);
  const time_t unix_seconds = mktime(&now);
  localtime_r(&unix_seconds, &now);
  *t = (struct metertime_rtc_time){.status = RTC_STATUS_RUNNING, .year = (uint16_t)(now.tm_year + 1900), .month = (uint8_t)(now.tm_mon + 1), .day = (uint8_t)now.tm_mday, .hour = (uint8_t)now.tm_hour, .minute = (uint8_t)now.tm_min, .second = (uint8_t)now.tm_sec};
}
bool metertime_read_temperature(int32_t *milli_celsius) { *milli_celsius = -12500; return true; }
uint32_t metertime_read_registers(int64_t values[4]) { values[0] = 12; values[1] = -3; return 2; }
void metertime_switch_tariff(uint16_t tariff, bool doubtful, int64_t since) { (void)tariff; (void)doubtful; (void)since; }
// ---- restart:`,
  ],
];

/** In the order of their numbers. */
export const faults: readonly Fault[] = [
  {
    what: 'whose ticks run backwards at times',
    found: /^ticks: ran backwards \d+ times/,
    changes: [
      [
        port,
        '  return (now_ns - first_ns) / TICK_NS;',
        `  static unsigned reading;
  if (fault == 1 && ++reading % 100 == 0) return (now_ns - first_ns) / TICK_NS;
  if (fault == 2) return (now_ns - first_ns) / TICK_NS * 101 / 100;
  return (now_ns - first_ns) / TICK_NS + 50;`,
      ],
    ],
  },
  { what: 'whose ticks are not as long as it says', found: /^rate: .* METERTIME_TICK_HZ is not/, changes: [] },
  {
    what: 'that wakes late',
    found: /^wait: awake at most \d+\.\d+ ms late/,
    changes: [[port, 'poll(&events, 1, wait_ms) > 0', 'poll(&events, 1, fault == 3 ? wait_ms + 80 : wait_ms) > 0']],
  },
  {
    what: 'whose line keeps a byte of flow control for itself',
    found: /^line: byte 17 came back as 18$/,
    changes: [
      [
        port,
        'for (ssize_t i = 0; i < length; i++) metertime_accept_byte(bytes[i]);',
        'for (ssize_t i = 0; i < length; i++) {\n    if (fault != 4 || bytes[i] != 17) metertime_accept_byte(bytes[i]);\n  }',
      ],
    ],
  },
  {
    what: 'that does not ask whether anything follows a frame',
    found: /^stamps: an answer left at tick 0, before its question/,
    changes: [
      [
        port,
        'while (length < sizeof bytes && metertime_next_byte(&byte));',
        'while (length < sizeof bytes && (fault != 5 || length < 2 || byte != 0) && metertime_next_byte(&byte));',
      ],
    ],
  },
  {
    what: 'whose storage has fewer bytes than it says',
    found: /^storage: at 0 is not what was written there/,
    changes: [
      [
        port,
        'return pread(storage, into, length, (off_t)offset) == (ssize_t)length;',
        `if (fault == 9) return memcpy(into, cache + offset, length) != NULL;
  if (fault == 6) offset &= 4095;
  return pread(storage, into, length, (off_t)offset) == (ssize_t)length;`,
      ],
      [
        port,
        write,
        `uint8_t old[512];
  if (fault == 6) offset &= 4095;
  if (fault == 7 && length > 64 && pwrite(storage, "", 1, (off_t)(offset + length)) != 1) return false;
  if (fault == 8 && pread(storage, old, length, (off_t)offset) != (ssize_t)length) return false;
  for (uint32_t i = 0; fault == 8 && i < length; i++) old[i] &= from[i];
  if (fault == 8) from = old;
  if (fault == 9) return memcpy(cache + offset, from, length) != NULL;
  ${write}`,
      ],
      [port, '// ---- storage\n', '// ---- storage\nstatic uint8_t cache[METERTIME_STORAGE_BYTES];\n'],
    ],
  },
  {
    what: 'whose storage spoils what is behind a write',
    found: /^storage: a longer write left something/,
    changes: [],
  },
  { what: 'whose storage only clears bits', found: /^storage: (what was written last|at \d+ is not)/, changes: [] },
  { what: 'that says written what is in memory only', found: /^restart: what was written .* is lost/, changes: [] },
  {
    what: 'whose entropy is always the same',
    found: /^entropy: the same 32 bytes twice/,
    changes: [
      [
        port,
        'const bool read_all = read(source, into, 32) == 32;',
        'const bool read_all = read(source, into, 32) == 32;\n  if (fault == 10) memset(into, 0x35, 32);',
      ],
    ],
  },
  {
    what: 'that forgets why it restarted',
    found: /^restart: metertime_restart was given cause 2 and code 4711, and the start 0 and 0/,
    changes: [[port, '  setenv(RESET_VARIABLE, text, 1);', '  if (fault != 11) setenv(RESET_VARIABLE, text, 1);']],
  },
  {
    what: 'whose compiler takes another square root',
    found: /^core: after event \d+ of \d+ it took other decisions than in node/,
    changes: [
      [
        'src/square_root.c',
        '  bits = (root >> 1)',
        '  extern int fault;\n  if (fault == 12) root &= ~(uint64_t)0xFFFFFFFF;\n  bits = (root >> 1)',
      ],
    ],
  },
  {
    what: 'whose stamps of what it sent are too late',
    found: /^stamps: a frame came at tick \d+, before the last left at \d+/,
    changes: [
      [
        'src/line.c',
        'if (outgoing_next + 1 == outgoing_length) sent_tick = tick_read_now();',
        'extern int fault;\n    if (outgoing_next + 1 == outgoing_length) sent_tick = tick_read_now() + (fault == 13 ? 100000000 : 0);',
      ],
    ],
  },
  { what: 'with a clock that stands still', found: /^clock: .* it says 2027-12-31/, changes: [] },
];
