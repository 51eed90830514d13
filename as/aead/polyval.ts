// POLYVAL (RFC 8452 3), the universal hash of AES-GCM-SIV: in GF(2^128) with x^128 + x^127 + x^126 + x^121 + 1 as modulus,
// S = 0; for each block: S = (S + block) · H · x^-128.
//
// What always holds:
// - No branch and no address depends on H, S or the data, and the only multiplications are of 32 bits with a result of
//   32 bits: those take the same time for all operands also on parts whose longer ones do not.
// - Bit i of a block is bit (i mod 8) of byte i / 8 and stands for x^i, so words are read as the memory has them.
//
// A product without carries comes out of one with carries when there are holes for these: of 16-bit factors that keep
// only each third bit, at most six terms meet in a bit of the product, and their sum fits into the three bits up to
// the next hole. Three such parts of each factor make nine multiplications. Longer factors are split in halves (Karatsuba):
// three products of 16 bits make one of 32, nine of 32 make one of 128.

/** The bits 0, 3, 6, … of a factor of 16 bits; the bits 1, 4, 7, …; the bits 2, 5, 8, … */
const FACTOR_0: u32 = 0x9249;
const FACTOR_1: u32 = 0x2492;
const FACTOR_2: u32 = 0x4924;

/** The same bits of a product. */
const PRODUCT_0: u32 = 0x4924_9249;
const PRODUCT_1: u32 = 0x9249_2492;
const PRODUCT_2: u32 = 0x2492_4924;

// The product of the lower halves of two words, 31 bits.
function multiplyHalves(x: u32, y: u32): u32 {
  const x0 = x & FACTOR_0;
  const x1 = x & FACTOR_1;
  const x2 = x & FACTOR_2;
  const y0 = y & FACTOR_0;
  const y1 = y & FACTOR_1;
  const y2 = y & FACTOR_2;
  return (
    (((x0 * y0) ^ (x1 * y2) ^ (x2 * y1)) & PRODUCT_0) |
    (((x0 * y1) ^ (x1 * y0) ^ (x2 * y2)) & PRODUCT_1) |
    (((x0 * y2) ^ (x1 * y1) ^ (x2 * y0)) & PRODUCT_2)
  );
}

// The product of two words, 63 bits.
function multiplyWords(x: u32, y: u32): u64 {
  const low = multiplyHalves(x, y);
  const high = multiplyHalves(x >> 16, y >> 16);
  const middle = multiplyHalves(x ^ (x >> 16), y ^ (y >> 16)) ^ low ^ high;
  return ((<u64>(high ^ (middle >> 16))) << 32) | <u64>(low ^ (middle << 16));
}

/**
 * Adds one block: sum = (sum + block) · key · x^-128.
 *
 * @param sum S, a block; zeros at the start
 * @param key H, a block
 */
export function polyvalBlock(sum: usize, key: usize, block: usize): void {
  const x3 = load<u32>(sum, 12) ^ load<u32>(block, 12);
  const x2 = load<u32>(sum, 8) ^ load<u32>(block, 8);
  const x1 = load<u32>(sum, 4) ^ load<u32>(block, 4);
  const x0 = load<u32>(sum) ^ load<u32>(block);
  const y3 = load<u32>(key, 12);
  const y2 = load<u32>(key, 8);
  const y1 = load<u32>(key, 4);
  const y0 = load<u32>(key);

  // Column i is the sum of all x_j · y_k with j + k = i, and stands 32·i bits up.
  const column0 = multiplyWords(x0, y0);
  const product1 = multiplyWords(x1, y1);
  const product2 = multiplyWords(x2, y2);
  const column6 = multiplyWords(x3, y3);
  const column1 = multiplyWords(x0 ^ x1, y0 ^ y1) ^ column0 ^ product1;
  const column5 = multiplyWords(x2 ^ x3, y2 ^ y3) ^ product2 ^ column6;
  const even = multiplyWords(x0 ^ x2, y0 ^ y2);
  const odd = multiplyWords(x1 ^ x3, y1 ^ y3);
  const all = multiplyWords(x0 ^ x1 ^ x2 ^ x3, y0 ^ y1 ^ y2 ^ y3);
  const column2 = even ^ column0 ^ product2 ^ product1;
  const column3 = all ^ even ^ odd ^ column1 ^ column5;
  const column4 = odd ^ product1 ^ column6 ^ product2;

  // The lowest word goes away with the modulus times it, four times: what remains is the product times x^-128.
  const z0 = <u32>column0;
  const z1 = <u32>(column0 >> 32) ^ <u32>column1;
  const z2 = <u32>(column1 >> 32) ^ <u32>column2;
  const z3 = <u32>(column2 >> 32) ^ <u32>column3 ^ upper(z0);
  store<u32>(sum, <u32>(column3 >> 32) ^ <u32>column4 ^ lower(z0) ^ upper(z1));
  store<u32>(sum, <u32>(column4 >> 32) ^ <u32>column5 ^ lower(z1) ^ upper(z2), 4);
  store<u32>(sum, <u32>(column5 >> 32) ^ <u32>column6 ^ lower(z2) ^ upper(z3), 8);
  store<u32>(sum, <u32>(column6 >> 32) ^ lower(z3), 12);
}

// A word times x^121 + x^126 + x^127 + x^128: the word that this adds to three places up, and to four.
function upper(word: u32): u32 {
  return (word << 25) ^ (word << 30) ^ (word << 31);
}

function lower(word: u32): u32 {
  return word ^ (word >> 1) ^ (word >> 2) ^ (word >> 7);
}
