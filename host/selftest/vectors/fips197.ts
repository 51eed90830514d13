// FIPS 197 (AES): appendix A.1 (key expansion), B and C.1 (AES-128).
import { hex } from '../hex.ts';

export const keyExpansion = {
  key: hex('2b7e1516 28aed2a6 abf71588 09cf4f3c'),
  /** w0 to w43, without w8 to w39. */
  firstWords: hex('2b7e1516 28aed2a6 abf71588 09cf4f3c a0fafe17 88542cb1 23a33939 2a6c7605'),
  lastWords: hex('d014f9a8 c9ee2589 e13f0cc8 b6630ca6'),
};

export const encryptions = [
  {
    name: 'appendix B',
    key: hex('2b7e1516 28aed2a6 abf71588 09cf4f3c'),
    plaintext: hex('3243f6a8 885a308d 313198a2 e0370734'),
    ciphertext: hex('3925841d 02dc09fb dc118597 196a0b32'),
  },
  {
    name: 'appendix C.1',
    key: hex('00010203 04050607 08090a0b 0c0d0e0f'),
    plaintext: hex('00112233 44556677 8899aabb ccddeeff'),
    ciphertext: hex('69c4e0d8 6a7b0430 d8cdb780 70b4c55a'),
  },
];
