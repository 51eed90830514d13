// AES-CMAC: RFC 4493, section 4 (128 bits), and NIST SP 800-38B, D.2 and D.3 (192 and 256), with the same messages.
import { hex } from '../hex.ts';

const message = hex(`
  6bc1bee2 2e409f96 e93d7e11 7393172a ae2d8a57 1e03ac9c 9eb76fac 45af8e51
  30c81c46 a35ce411 e5fbc119 1a0a52ef f69f2445 df4f9b17 ad2b417b e66c3710`);

const key128 = hex('2b7e1516 28aed2a6 abf71588 09cf4f3c');
const key192 = hex('8e73b0f7 da0e6452 c810f32b 809079e5 62f8ead2 522c6b7b');
const key256 = hex('603deb10 15ca71be 2b73aef0 857d7781 1f352c07 3b6108d7 2d9810a3 0914dff4');

const mac = (name: string, key: Uint8Array, bytes: number, tag: string) => ({
  name,
  key,
  message: message.subarray(0, bytes),
  tag: hex(tag),
});

export const macs = [
  mac('RFC 4493, example 1', key128, 0, 'bb1d6929 e9593728 7fa37d12 9b756746'),
  mac('RFC 4493, example 2', key128, 16, '070a16b4 6b4d4144 f79bdd9d d04a287c'),
  mac('RFC 4493, example 3', key128, 40, 'dfa66747 de9ae630 30ca3261 1497c827'),
  mac('RFC 4493, example 4', key128, 64, '51f0bebf 7e3b9d92 fc497417 79363cfe'),
  mac('SP 800-38B, D.2, example 5', key192, 0, 'd17ddf46 adaacde5 31cac483 de7a9367'),
  mac('SP 800-38B, D.2, example 6', key192, 16, '9e99a7bf 31e71090 0662f65e 617c5184'),
  mac('SP 800-38B, D.2, example 7', key192, 40, '8a1de5be 2eb31aad 089a82e6 ee908b0e'),
  mac('SP 800-38B, D.2, example 8', key192, 64, 'a1d5df0e ed790f79 4d775896 59f39a11'),
  mac('SP 800-38B, D.3, example 9', key256, 0, '028962f6 1b7bf89e fc6b551f 4667d983'),
  mac('SP 800-38B, D.3, example 10', key256, 16, '28a7023f 452e8f82 bd4bf28d 8c37c35c'),
  mac('SP 800-38B, D.3, example 11', key256, 40, 'aaf3d8f1 de5640c2 32f5b169 b9c911e6'),
  mac('SP 800-38B, D.3, example 12', key256, 64, 'e1992190 549f6ed5 696a2c05 6c315410'),
];
