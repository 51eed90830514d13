// Square root of a double, correctly rounded as WebAssembly's f64.sqrt asks (IEEE 754 5.4.1): digit by digit, in integers.
#include <math.h>
#include <stdint.h>
#include <string.h>

#define MANTISSA_BITS 52
#define BIAS 1023

double sqrt(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  int exponent = (int)(bits >> MANTISSA_BITS);
  uint64_t rest = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);
  // Zeros, a NaN and infinity are their own roots; below zero there is none.
  if ((bits << 1) == 0 || isnan(x) || bits == (uint64_t)0x7ff << MANTISSA_BITS) return x;
  if ((bits >> 63) != 0) return NAN;
  if (exponent == 0) {
    for (exponent = 1; (rest >> MANTISSA_BITS) == 0; exponent -= 1) rest <<= 1;
  } else {
    rest |= (uint64_t)1 << MANTISSA_BITS;
  }
  exponent -= BIAS;
  if ((exponent & 1) != 0) {
    rest <<= 1;
    exponent -= 1;
  }

  // One binary digit more than the result has: where it is set there is always something left, so it rounds up.
  rest <<= 1;
  uint64_t root = 0;
  uint64_t sum = 0;
  for (uint64_t digit = (uint64_t)1 << (MANTISSA_BITS + 1); digit != 0; digit >>= 1) {
    const uint64_t trial = sum + digit;
    if (trial <= rest) {
      sum = trial + digit;
      rest -= trial;
      root += digit;
    }
    rest <<= 1;
  }
  bits = (root >> 1) + (root & 1) + ((uint64_t)(exponent / 2 + BIAS - 1) << MANTISSA_BITS);
  memcpy(&x, &bits, sizeof x);
  return x;
}
