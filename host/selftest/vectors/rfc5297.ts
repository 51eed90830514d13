// RFC 5297 (SIV), appendix A: A.1 deterministic, A.2 with a nonce as the last associated data. The standard prints no
// vectors for keys of 384 and 512 bits; these come from OpenSSL's AES-192-SIV and AES-256-SIV.
import { hex } from '../hex.ts';

const input = {
  strings: [hex('10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627'), hex('a0a1a2a3 a4a5a6a7 a8a9aaab acadaeaf')],
  plaintext: hex('30313233 34353637 38393a3b 3c3d3e3f 40414243 44'),
};

export const messages = [
  {
    name: 'appendix A.1',
    key: hex('fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff'),
    strings: [hex('10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627')],
    plaintext: hex('11223344 55667788 99aabbcc ddee'),
    sealed: hex('85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c'),
  },
  {
    name: 'appendix A.2',
    key: hex('7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f'),
    strings: [
      hex('00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100'),
      hex('10203040 50607080 90a0'),
      hex('09f91102 9d74e35b d84156c5 635688c0'),
    ],
    plaintext: hex(`
      74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e 63727970
      74207573 696e6720 5349562d 414553`),
    sealed: hex(`
      7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17
      dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d`),
  },
  {
    name: '384 bits, by OpenSSL',
    key: hex(`
      00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f
      20212223 24252627 28292a2b 2c2d2e2f`),
    ...input,
    sealed: hex(`
      d5031b51 fb61dc8d 73e0e883 5208ef19 fd949e91 999a8167 b4f39cca f1a6f171
      c3fe310b 30`),
  },
  {
    name: '512 bits, by OpenSSL',
    key: hex(`
      00010203 04050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f
      20212223 24252627 28292a2b 2c2d2e2f 30313233 34353637 38393a3b 3c3d3e3f`),
    ...input,
    sealed: hex(`
      3aedd0f3 7031335a 1f2a48c2 dfd4f2f6 571ff2ed 43add863 5ff2b99e b8d12410
      3cdd8bfc e2`),
  },
];
