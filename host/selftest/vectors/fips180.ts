// SHA-512: the examples that NIST publishes for FIPS 180-4, of one block and of two; and the hash of nothing.
import { hex } from '../hex.ts';

const ascii = (text: string) => new TextEncoder().encode(text);

export const hashes = [
  {
    name: 'FIPS 180-4, no message',
    message: ascii(''),
    hash: hex(`
      cf83e135 7eefb8bd f1542850 d66d8007 d620e405 0b5715dc 83f4a921 d36ce9ce
      47d0d13c 5d85f2b0 ff8318d2 877eec2f 63b931bd 47417a81 a538327a f927da3e`),
  },
  {
    name: 'FIPS 180-4, one block',
    message: ascii('abc'),
    hash: hex(`
      ddaf35a1 93617aba cc417349 ae204131 12e6fa4e 89a97ea2 0a9eeee6 4b55d39a
      2192992a 274fc1a8 36ba3c23 a3feebbd 454d4423 643ce80e 2a9ac94f a54ca49f`),
  },
  {
    name: 'FIPS 180-4, two blocks',
    message: ascii(
      'abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu',
    ),
    hash: hex(`
      8e959b75 dae313da 8cf4f728 14fc143f 8f7779c6 eb9f7fa1 7299aead b6889018
      501d289e 4900f7e4 331b99de c4b5433a c7d329ee b6dd2654 5e96e55b 874be909`),
  },
];
