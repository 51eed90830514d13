// Ed25519: RFC 8032 7.1. Of the test «1024», whose message of 1023 bytes is longer than the core signs, only the key.
import { hex } from '../hex.ts';

export const signatures = [
  {
    name: 'RFC 8032 7.1, test 1',
    seed: hex('9d61b19d effd5a60 ba844af4 92ec2cc4 4449c569 7b326919 703bac03 1cae7f60'),
    publicKey: hex('d75a9801 82b10ab7 d54bfed3 c964073a 0ee172f3 daa62325 af021a68 f707511a'),
    message: hex(''),
    signature: hex(`
      e5564300 c360ac72 9086e2cc 806e828a 84877f1e b8e5d974 d873e065 22490155
      5fb88215 90a33bac c61e3970 1cf9b46b d25bf5f0 595bbe24 65514143 8e7a100b`),
  },
  {
    name: 'RFC 8032 7.1, test 2',
    seed: hex('4ccd089b 28ff96da 9db6c346 ec114e0f 5b8a319f 35aba624 da8cf6ed 4fb8a6fb'),
    publicKey: hex('3d4017c3 e843895a 92b70aa7 4d1b7ebc 9c982ccf 2ec4968c c0cd55f1 2af4660c'),
    message: hex('72'),
    signature: hex(`
      92a009a9 f0d4cab8 720e820b 5f642540 a2b27b54 16503f8f b3762223 ebdb69da
      085ac1e4 3e15996e 458f3613 d0f11d8c 387b2eae b4302aee b00d2916 12bb0c00`),
  },
  {
    name: 'RFC 8032 7.1, test 3',
    seed: hex('c5aa8df4 3f9f837b edb7442f 31dcb7b1 66d38535 076f094b 85ce3a2e 0b4458f7'),
    publicKey: hex('fc51cd8e 6218a1a3 8da47ed0 0230f058 0816ed13 ba3303ac 5deb9115 48908025'),
    message: hex('af82'),
    signature: hex(`
      6291d657 deec2402 4827e69c 3abe01a3 0ce548a2 84743a44 5e3680d7 db5ac3ac
      18ff9b53 8d16f290 ae67f760 984dc659 4a7c15e9 716ed28d c027bece ea1ec40a`),
  },
  {
    name: 'RFC 8032 7.1, test SHA(abc)',
    seed: hex('833fe624 09237b9d 62ec7758 7520911e 9a759cec 1d19755b 7da901b9 6dca3d42'),
    publicKey: hex('ec172b93 ad5e563b f4932c70 e1245034 c35467ef 2efd4d64 ebf81968 3467e2bf'),
    message: hex(`
      ddaf35a1 93617aba cc417349 ae204131 12e6fa4e 89a97ea2 0a9eeee6 4b55d39a
      2192992a 274fc1a8 36ba3c23 a3feebbd 454d4423 643ce80e 2a9ac94f a54ca49f`),
    signature: hex(`
      dc2a4459 e7369633 a52b1bf2 77839a00 201009a3 efbf3ecb 69bea218 6c26b589
      09351fc9 ac90b3ec fdfbc7c6 6431e030 3dca179c 138ac17a d9bef117 7331a704`),
  },
];

export const longMessageKey = {
  name: 'RFC 8032 7.1, key of test 1024',
  seed: hex('f5e5767c f1533195 17630f22 6876b86c 8160cc58 3bc01374 4c6bf255 f5cc0ee5'),
  publicKey: hex('278117fc 144c7234 0f67d0f2 316e8386 ceffbf2b 2428c9c5 1fef7c59 7f1d426e'),
};
