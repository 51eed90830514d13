// Names that wasm2c's helpers for floating point mention: the core uses fabs and sqrt of them.
#ifndef MATH_H_
#define MATH_H_

#include <stdint.h>

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define isnan(x) math_is_nan(x)
#define signbit(x) __builtin_signbit(x)

// In integers: a comparison of numbers is a function of the library's.
static inline int math_is_nan(double x) {
  uint64_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits << 1 > 0xFFE0000000000000u;
}

double ceil(double x);
#define fabs(x) __builtin_fabs(x)
double floor(double x);
double nearbyint(double x);
double sqrt(double x);
double trunc(double x);
double copysign(double x, double y);
float ceilf(float x);
#define fabsf(x) __builtin_fabsf(x)
float floorf(float x);
float nearbyintf(float x);
float sqrtf(float x);
float truncf(float x);
float copysignf(float x, float y);

#endif
