// RFC 4493 (AES-CMAC), section 4; the same key and messages are in NIST SP 800-38B, D.1.
import { hex } from '../hex.ts';

export const key = hex('2b7e1516 28aed2a6 abf71588 09cf4f3c');

const message = hex(`
  6bc1bee2 2e409f96 e93d7e11 7393172a ae2d8a57 1e03ac9c 9eb76fac 45af8e51
  30c81c46 a35ce411 e5fbc119 1a0a52ef f69f2445 df4f9b17 ad2b417b e66c3710`);

export const macs = [
  { name: 'example 1', message: message.subarray(0, 0), tag: hex('bb1d6929 e9593728 7fa37d12 9b756746') },
  { name: 'example 2', message: message.subarray(0, 16), tag: hex('070a16b4 6b4d4144 f79bdd9d d04a287c') },
  { name: 'example 3', message: message.subarray(0, 40), tag: hex('dfa66747 de9ae630 30ca3261 1497c827') },
  { name: 'example 4', message, tag: hex('51f0bebf 7e3b9d92 fc497417 79363cfe') },
];
