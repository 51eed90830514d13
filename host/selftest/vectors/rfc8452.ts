// RFC 8452 (AES-GCM-SIV): appendix A (POLYVAL) and C.1 (AEAD_AES_128_GCM_SIV), all of them, numbered in their order. The
// counter of C.3 wraps with keys of 256 bits only.
import { hex } from '../hex.ts';

export const polyval = {
  key: hex('25629347 58924276 1d31f826 ba4b757b'),
  blocks: hex('4f4f9566 8c83dfb6 401762bb 2d01a262 d1a24ddd 2721d006 bbe45f20 d3c9f362'),
  sum: hex('f7a3b47b 846119fa e5b7866c f5e5b77e'),
};

export const messages = [
  {
    name: 'appendix C.1, 1',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex(''),
    plaintext: hex(''),
    sealed: hex('dc20e2d8 3f25705b b49e439e ca56de25'),
  },
  {
    name: 'appendix C.1, 2',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex(''),
    plaintext: hex('01000000 00000000'),
    sealed: hex('b5d83933 0ac7b786 578782ff f6013b81 5b287c22 493a364c'),
  },
  {
    name: 'appendix C.1, 3',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex(''),
    plaintext: hex('01000000 00000000 00000000'),
    sealed: hex('7323ea61 d0593226 0047d942 a4978db3 57391a0b c4fdec8b 0d106639'),
  },
  {
    name: 'appendix C.1, 4',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex(''),
    plaintext: hex('01000000 00000000 00000000 00000000'),
    sealed: hex('743f7c80 77ab25f8 624e2e94 8579cf77 303aaf90 f6fe2119 9c606857 7437a0c4'),
  },
  {
    name: 'appendix C.1, 5',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex(''),
    plaintext: hex('01000000 00000000 00000000 00000000 02000000 00000000 00000000 00000000'),
    sealed: hex(
      '84e07e62 ba83a658 5417245d 7ec413a9 fe427d63 15c09b57 ce45f2e3 936a9445 1a8e45dc d4578c66 7cd86847 bf6155ff',
    ),
  },
  {
    name: 'appendix C.1, 6',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex(''),
    plaintext: hex(
      '01000000 00000000 00000000 00000000 02000000 00000000 00000000 00000000 03000000 00000000 00000000 00000000',
    ),
    sealed: hex(`
      3fd24ce1 f5a67b75 bf2351f1 81a475c7 b800a5b4 d3dcf701 06b1eea8 2fa1d64d f42bf722 6122fa92 e17a40ee aac1201b
      5e6e311d bf395d35 b0fe39c2 714388f8`),
  },
  {
    name: 'appendix C.1, 7',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex(''),
    plaintext: hex(`
      01000000 00000000 00000000 00000000 02000000 00000000 00000000 00000000 03000000 00000000 00000000 00000000
      04000000 00000000 00000000 00000000`),
    sealed: hex(`
      2433668f 1058190f 6d43e360 f4f35cd8 e475127c fca7028e a8ab5c20 f7ab2af0 2516a2bd cbc08d52 1be37ff2 8c152bba
      36697f25 b4cd169c 6590d1dd 39566d3f 8a263dd3 17aa88d5 6bdf3936 dba75bb8`),
  },
  {
    name: 'appendix C.1, 8',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01'),
    plaintext: hex('02000000 00000000'),
    sealed: hex('1e6daba3 5669f427 3b0a1a25 60969cdf 790d9975 9abd1508'),
  },
  {
    name: 'appendix C.1, 9',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01'),
    plaintext: hex('02000000 00000000 00000000'),
    sealed: hex('296c7889 fd99f419 17f44620 08299c51 02745aaa 3a0c469f ad9e075a'),
  },
  {
    name: 'appendix C.1, 10',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01'),
    plaintext: hex('02000000 00000000 00000000 00000000'),
    sealed: hex('e2b0c5da 79a901c1 745f7005 25cb335b 8f8936ec 039e4e4b b97ebd8c 4457441f'),
  },
  {
    name: 'appendix C.1, 11',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01'),
    plaintext: hex('02000000 00000000 00000000 00000000 03000000 00000000 00000000 00000000'),
    sealed: hex(
      '620048ef 3c1e73e5 7e02bb85 62c416a3 19e73e4c aac8e96a 1ecb2933 145a1d71 e6af6a7f 87287da0 59a71684 ed3498e1',
    ),
  },
  {
    name: 'appendix C.1, 12',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01'),
    plaintext: hex(
      '02000000 00000000 00000000 00000000 03000000 00000000 00000000 00000000 04000000 00000000 00000000 00000000',
    ),
    sealed: hex(`
      50c8303e a93925d6 4090d07b d109dfd9 515a5a33 431019c1 7d934659 99a8b005 3201d723 120a8562 b838cdff 25bf9d1e
      6a8cc386 5f76897c 2e4b245c f31c51f2`),
  },
  {
    name: 'appendix C.1, 13',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01'),
    plaintext: hex(`
      02000000 00000000 00000000 00000000 03000000 00000000 00000000 00000000 04000000 00000000 00000000 00000000
      05000000 00000000 00000000 00000000`),
    sealed: hex(`
      2f5c6405 9db55ee0 fb847ed5 13003746 aca4e61c 711b5de2 e7a77ffd 02da42fe ec601910 d3467bb8 b36ebbae bce5fba3
      0d36c95f 48a3e798 0f0e7ac2 99332a80 cdc46ae4 75563de0 37001ef8 4ae21744`),
  },
  {
    name: 'appendix C.1, 14',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01000000 00000000 00000000'),
    plaintext: hex('02000000'),
    sealed: hex('a8fe3e87 07eb1f84 fb28f8cb 73de8e99 e2f48a14'),
  },
  {
    name: 'appendix C.1, 15',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01000000 00000000 00000000 00000000 0200'),
    plaintext: hex('03000000 00000000 00000000 00000000 04000000'),
    sealed: hex('6bb0fecf 5ded9b77 f902c7d5 da236a43 91dd0297 24afc980 5e976f45 1e6d87f6 fe106514'),
  },
  {
    name: 'appendix C.1, 16',
    key: hex('01000000 00000000 00000000 00000000'),
    nonce: hex('03000000 00000000 00000000'),
    data: hex('01000000 00000000 00000000 00000000 02000000'),
    plaintext: hex('03000000 00000000 00000000 00000000 0400'),
    sealed: hex('44d0aaf6 fb2f1f34 add5e806 4e83e12a 2adabff9 b2ef00fb 47920cc7 2a0c0f13 b9fd'),
  },
  {
    name: 'appendix C.1, 17',
    key: hex('e66021d5 eb8e4f40 66d4adb9 c33560e4'),
    nonce: hex('f46e44bb 3da0015c 94f70887'),
    data: hex(''),
    plaintext: hex(''),
    sealed: hex('a4194b79 071b01a8 7d65f706 e3949578'),
  },
  {
    name: 'appendix C.1, 18',
    key: hex('36864200 e0eaf528 4d884a0e 77d31646'),
    nonce: hex('bae8e37f c83441b1 6034566b'),
    data: hex('46bb91c3 c5'),
    plaintext: hex('7a806c'),
    sealed: hex('af60eb71 1bd85bc1 e4d3e0a4 62e074ee a428a8'),
  },
  {
    name: 'appendix C.1, 19',
    key: hex('aedb64a6 c590bc84 d1a5e269 e4b47801'),
    nonce: hex('afc0577e 34699b9e 671fdd4f'),
    data: hex('fc880c94 a9519887 4296'),
    plaintext: hex('bdc66f14 6545'),
    sealed: hex('bb93a3e3 4d3cd6a9 c45545cf c11f03ad 743dba20 f966'),
  },
  {
    name: 'appendix C.1, 20',
    key: hex('d5cc1fd1 61320b69 20ce0778 7f86743b'),
    nonce: hex('275d1ab3 2f6d1f04 34d8848c'),
    data: hex('046787f3 ea22c127 aaf195d1 894728'),
    plaintext: hex('1177441f 19549586 0f'),
    sealed: hex('4f37281f 7ad12949 d01d02fd 0cd174c8 4fc5dae2 f60f52fd 2b'),
  },
  {
    name: 'appendix C.1, 21',
    key: hex('b3fed147 3c528b84 26a58299 5929a149'),
    nonce: hex('9e9ad878 0c8d63d0 ab4149c0'),
    data: hex('c9882e53 86fd9f92 ec489c8f de2be2cf 97e74e93'),
    plaintext: hex('9f572c61 4b474591 4474e7c7'),
    sealed: hex('f54673c5 ddf710c7 45641c8b c1dc2f87 1fb7561d a1286e65 5e24b7b0'),
  },
  {
    name: 'appendix C.1, 22',
    key: hex('2d4ed87d a4410295 2ef94b02 b805249b'),
    nonce: hex('ac80e6f6 1455bfac 8308a2d4'),
    data: hex('2950a70d 5a1db231 6fd56837 8da107b5 2b0da552 10cc1c1b 0a'),
    plaintext: hex('0d8c8451 17808235 5c9e940f ea2f58'),
    sealed: hex('c9ff545e 07b88a01 5f05b274 540aa183 b3449b9f 39552de9 9dc214a1 190b0b'),
  },
  {
    name: 'appendix C.1, 23',
    key: hex('bde3b2f2 04d1e9f8 b06bc47f 9745b3d1'),
    nonce: hex('ae06556f b6aa7890 bebc18fe'),
    data: hex('1860f762 ebfbd082 84e42170 2de0de18 baa9c959 6291b084 66f37de2 1c7f'),
    plaintext: hex('6b3db4da 3d57aa94 842b9803 a96e07fb 6de7'),
    sealed: hex('6298b296 e24e8cc3 5dce0bed 484b7f30 d5803e37 7094f047 09f64d7b 985310a4 db84'),
  },
  {
    name: 'appendix C.1, 24',
    key: hex('f901cfe8 a69615a9 3fdf7a98 cad48179'),
    nonce: hex('6245709f b18853f6 8d833640'),
    data: hex('7576f702 8ec6eb5e a7e29834 2a94d4b2 02b370ef 9768ec65 61c4fe6b 7e7296fa 859c21'),
    plaintext: hex('e42a3c02 c25b6486 9e146d7b 233987bd dfc24087 1d'),
    sealed: hex('391cc328 d484a4f4 6406181b cd62efd9 b3ee197d 052d1550 6c84a9ed d65e13e9 d24a2a6e 70'),
  },
];
