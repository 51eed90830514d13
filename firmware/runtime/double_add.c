// Sums of doubles as IEEE 754 has them, where libgcc's assembler for Thumb-2 has not (its ieee754-df.S, as of gcc 12): of a
// number whose exponent is smaller by 33 it keeps one bit beside the sum, but where signs differ the sum may need two. So
// 1 - x is one unit in the last place off for half of the x from 2^-33 on up to 2^-32, and a meter decided otherwise than a
// host that replays what it was told.
//
// What always holds: the linker sends all sums and differences here (`--wrap` in the architecture's data); all but those
// above go on to libgcc, with the arguments where they are.
#include <stdint.h>
#include <string.h>

#if defined(__thumb2__)

#define MANTISSA_BITS 52
#define HIDDEN ((uint64_t)1 << MANTISSA_BITS)
#define EXPONENT_MOST 0x7FFu
#define FAR_BITS 33
// Bits below the last place of the sum, of which the lowest stands for all that is lower.
#define GUARD_BITS 11
#define HALF ((uint64_t)1 << (GUARD_BITS - 1))

double __real___aeabi_dadd(double a, double b);
uint64_t double_add_far(uint64_t larger, uint64_t smaller);

/// Adds two numbers of different signs whose exponents, as they are written, differ by FAR_BITS or by one more: of a
/// subnormal number it is one less than it means. Arguments and result are the bits of doubles.
uint64_t double_add_far(uint64_t larger, uint64_t smaller) {
  if (larger << 1 < smaller << 1) {
    const uint64_t swapped = larger;
    larger = smaller;
    smaller = swapped;
  }
  uint32_t exponent = (uint32_t)(larger >> MANTISSA_BITS) & EXPONENT_MOST;
  const uint32_t written = (uint32_t)(smaller >> MANTISSA_BITS) & EXPONENT_MOST;
  const uint32_t meant = written == 0 ? 1 : written;
  if (exponent == EXPONENT_MOST || exponent - meant != FAR_BITS) {
    // Infinity, no number, or none of those that libgcc has wrong.
    double a;
    double b;
    memcpy(&a, &larger, sizeof a);
    memcpy(&b, &smaller, sizeof b);
    a = __real___aeabi_dadd(a, b);
    memcpy(&larger, &a, sizeof larger);
    return larger;
  }
  const uint64_t taken = (written == 0 ? 0 : HIDDEN) | (smaller & (HIDDEN - 1));
  uint64_t sum = (HIDDEN | (larger & (HIDDEN - 1))) << GUARD_BITS;
  sum -= taken >> (FAR_BITS - GUARD_BITS);
  if ((taken << (64 - FAR_BITS + GUARD_BITS)) != 0) sum = (sum - 1) | 1;
  if (sum >> 63 == 0) {
    sum <<= 1;
    exponent -= 1;
  }
  const uint64_t rest = sum & (2 * HALF - 1);
  sum >>= GUARD_BITS;
  if (rest > HALF || (rest == HALF && (sum & 1) != 0)) sum += 1;
  // The hidden bit counts as one of the exponent.
  return (larger >> 63 << 63) + ((uint64_t)(exponent - 1) << MANTISSA_BITS) + sum;
}

// With different signs the exponents' difference is in the low 11 bits of that of sign and exponent together: they are
// shifted to the top, where the sign is one.
__asm__(
    "	.syntax unified\n"
    "	.section .text.double_add, \"ax\", %progbits\n"
    "	.balign 4\n"
    "	.global __wrap___aeabi_dsub\n"
    "	.type __wrap___aeabi_dsub, %function\n"
    "	.thumb_func\n"
    "__wrap___aeabi_dsub:\n"
    "	eor	r3, r3, #0x80000000\n"
    "	.global __wrap___aeabi_dadd\n"
    "	.type __wrap___aeabi_dadd, %function\n"
    "	.thumb_func\n"
    "__wrap___aeabi_dadd:\n"
    "	teq	r1, r3\n"
    "	bpl	1f\n"
    "	lsr	ip, r1, #20\n"
    "	sub	ip, ip, r3, lsr #20\n"
    "	lsls	ip, ip, #21\n"
    "	it	mi\n"
    "	rsbmi	ip, ip, #0\n"
    "	sub	ip, ip, #(33 << 21)\n"
    "	cmp	ip, #(1 << 21)\n"
    "	bls	2f\n"
    "1:	b.w	__real___aeabi_dadd\n"
    "2:	b.w	double_add_far\n"
    "	.size __wrap___aeabi_dadd, . - __wrap___aeabi_dadd\n"
    "	.previous\n");

#endif
