// The time as the core tells it.
#ifndef CORE_TIME_H_
#define CORE_TIME_H_

#include <stdint.h>

/// What the core says about its time: `TimeNowField` and `BudgetField` in as/abi/codes.ts.
struct core_time {
  uint8_t status;         // enum ClockStatus
  uint8_t flags;          // enum TimeFlag, bits
  uint8_t invalidations;  // of registration periods since the start, modulo 256
  /// ns since 1970 without leap seconds, and the hard bound on its error; 0, as all that follows but the age, while
  /// unsynchronised.
  int64_t utc_ns;
  uint64_t bound_ns;
  /// Expanded uncertainty (k = 2), and what it is made of: standard uncertainties, and what is not corrected yet; ns.
  uint64_t uncertainty_ns;
  uint32_t noise_ns;
  uint32_t asymmetry_ns;
  uint32_t server_ns;
  uint32_t stamps_ns;
  uint32_t slew_ns;
  /// By which the clock runs faster than the tick, and expanded uncertainty (k = 2) of that; parts of 10^12.
  int32_t frequency_ppt;
  uint32_t frequency_uncertainty_ppt;
  /// Since the last authenticated sample; -1 for never.
  int64_t sample_age_ns;
};

#endif
