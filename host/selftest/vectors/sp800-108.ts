// NIST SP 800-108 (key derivation in counter mode, AES-128-CMAC, 32-bit counter and length): the standard prints no
// vectors; these come from OpenSSL 3.0, `openssl kdf … -kdfopt mode:COUNTER KBKDF`.
import { hex } from '../hex.ts';

const input = {
  root: hex('00010203 04050607 08090a0b 0c0d0e0f'),
  label: new TextEncoder().encode('storage'),
  context: hex('10111213 14151617 18191a1b 1c1d1e1f'),
};

export const derivations = [
  {
    name: 'two blocks',
    ...input,
    output: hex('51fc0ded 7133afb4 8fde3784 e06cea7f cf391bd5 391f7c82 c657855d 049223a4'),
  },
  { name: 'part of a block', ...input, output: hex('b73b1ded 24c63b04 76da38d8 fc') },
];
