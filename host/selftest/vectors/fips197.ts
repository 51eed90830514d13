// FIPS 197 (AES): appendix A (key expansion), B and C (one block each). NIST SP 800-38A: F.1.1, F.1.3 and F.1.5 (ECB).
import { hex } from '../hex.ts';

const key128 = hex('2b7e1516 28aed2a6 abf71588 09cf4f3c');
const key192 = hex('8e73b0f7 da0e6452 c810f32b 809079e5 62f8ead2 522c6b7b');
const key256 = hex('603deb10 15ca71be 2b73aef0 857d7781 1f352c07 3b6108d7 2d9810a3 0914dff4');

/** Each with its first words, those of the key and the next ones, and its last four. */
export const keyExpansions = [
  {
    name: 'appendix A.1',
    key: key128,
    firstWords: hex('2b7e1516 28aed2a6 abf71588 09cf4f3c a0fafe17 88542cb1 23a33939 2a6c7605'),
    lastWords: hex('d014f9a8 c9ee2589 e13f0cc8 b6630ca6'),
  },
  {
    name: 'appendix A.2',
    key: key192,
    firstWords: hex('8e73b0f7 da0e6452 c810f32b 809079e5 62f8ead2 522c6b7b fe0c91f7 2402f5a5 ec12068e 6c827f6b'),
    lastWords: hex('e98ba06f 448c773c 8ecc7204 01002202'),
  },
  {
    name: 'appendix A.3',
    key: key256,
    firstWords: hex(
      '603deb10 15ca71be 2b73aef0 857d7781 1f352c07 3b6108d7 2d9810a3 0914dff4 9ba35411 8e6925af a51a8b5f 2067fcde',
    ),
    lastWords: hex('fe4890d1 e6188d0b 046df344 706c631e'),
  },
];

const keyC = hex('00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f');
const plaintextC = hex('00112233 44556677 8899aabb ccddeeff');
const plaintextF = hex('6bc1bee2 2e409f96 e93d7e11 7393172a');

export const encryptions = [
  {
    name: 'FIPS 197, appendix B',
    key: key128,
    plaintext: hex('3243f6a8 885a308d 313198a2 e0370734'),
    ciphertext: hex('3925841d 02dc09fb dc118597 196a0b32'),
  },
  {
    name: 'FIPS 197, appendix C.1',
    key: keyC.subarray(0, 16),
    plaintext: plaintextC,
    ciphertext: hex('69c4e0d8 6a7b0430 d8cdb780 70b4c55a'),
  },
  {
    name: 'FIPS 197, appendix C.2',
    key: keyC.subarray(0, 24),
    plaintext: plaintextC,
    ciphertext: hex('dda97ca4 864cdfe0 6eaf70a0 ec0d7191'),
  },
  {
    name: 'FIPS 197, appendix C.3',
    key: keyC,
    plaintext: plaintextC,
    ciphertext: hex('8ea2b7ca 516745bf eafc4990 4b496089'),
  },
  {
    name: 'SP 800-38A, F.1.1',
    key: key128,
    plaintext: plaintextF,
    ciphertext: hex('3ad77bb4 0d7a3660 a89ecaf3 2466ef97'),
  },
  {
    name: 'SP 800-38A, F.1.3',
    key: key192,
    plaintext: plaintextF,
    ciphertext: hex('bd334f1d 6e45f25f f712a214 571fa5cc'),
  },
  {
    name: 'SP 800-38A, F.1.5',
    key: key256,
    plaintext: plaintextF,
    ciphertext: hex('f3eed1bd b5d2a03c 064b5a7e 3db181f8'),
  },
];
