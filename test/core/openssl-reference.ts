// The core's algorithms written a second time, straight from the standards, on the ciphers of OpenSSL that node has.
// For comparison in tests; not constant-time.
import { createCipheriv } from 'node:crypto';

/** AES of whole blocks, each on its own. */
export function aesBlocks(key: Uint8Array, blocks: Uint8Array): Buffer {
  const cipher = createCipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false);
  return Buffer.concat([cipher.update(blocks), cipher.final()]);
}

/** RFC 5297 2.3: dbl. */
function double(block: Buffer): Buffer {
  const shifted = (BigInt(`0x${block.toString('hex')}`) << 1n) ^ (block[0]! & 0x80 ? 0x87n : 0n);
  return Buffer.from(BigInt.asUintN(128, shifted).toString(16).padStart(32, '0'), 'hex');
}

function xor(left: Uint8Array, right: Uint8Array): Buffer {
  return Buffer.from(left.map((byte, i) => byte ^ right[i]!));
}

function pad(part: Uint8Array): Buffer {
  const block = Buffer.alloc(16);
  block.set(part);
  block[part.length] = 0x80;
  return block;
}

interface Subkeys {
  readonly key: Buffer;
  readonly full: Buffer;
  readonly padded: Buffer;
}
let subkeys: Subkeys | undefined;

/** RFC 4493 2.3; those of the last key are kept, as most messages are of the same one. */
function subkeysOf(key: Uint8Array): Subkeys {
  if (subkeys === undefined || !subkeys.key.equals(key)) {
    const full = double(aesBlocks(key, Buffer.alloc(16)));
    subkeys = { key: Buffer.from(key), full, padded: double(full) };
  }
  return subkeys;
}

/** RFC 4493 2.4, by CBC encryption with the last block masked. */
export function cmac(key: Uint8Array, message: Uint8Array): Buffer {
  const { full, padded } = subkeysOf(key);
  const isFull = message.length > 0 && message.length % 16 === 0;
  const masked = Buffer.alloc(16 * Math.max(1, Math.ceil(message.length / 16)));
  masked.set(message);
  if (!isFull) masked[message.length] = 0x80;
  const mask = isFull ? full : padded;
  const last = masked.length - 16;
  for (let at = 0; at < 16; at++) masked[last + at] = masked[last + at]! ^ mask[at]!;
  return createCipheriv(`aes-${key.length * 8}-cbc`, key, Buffer.alloc(16))
    .update(masked)
    .subarray(-16);
}

/** RFC 5297 2.6: tag, then ciphertext. */
export function sivSeal(key: Uint8Array, strings: readonly Uint8Array[], plaintext: Uint8Array): Buffer {
  const macKey = key.subarray(0, key.length / 2);
  let d = cmac(macKey, Buffer.alloc(16));
  for (const string of strings) d = xor(double(d), cmac(macKey, string));
  const t =
    plaintext.length >= 16
      ? Buffer.concat([plaintext.subarray(0, -16), xor(plaintext.subarray(-16), d)])
      : xor(double(d), pad(plaintext));
  const v = cmac(macKey, t);
  const counter = Buffer.from(v);
  counter[8]! &= 0x7f;
  counter[12]! &= 0x7f;
  const cipher = createCipheriv(`aes-${key.length * 4}-ctr`, key.subarray(key.length / 2), counter);
  return Buffer.concat([v, cipher.update(plaintext), cipher.final()]);
}

/** RFC 8452 3, bit by bit: (sum of block_i · key^(n - i) · x^(-128 · (n - i))); bit i of a number stands for x^i. */
export function polyval(key: Uint8Array, blocks: Uint8Array): Buffer {
  // x^128 + x^127 + x^126 + x^121 + 1
  const modulus = (1n << 128n) | (1n << 127n) | (1n << 126n) | (1n << 121n) | 1n;
  const h = littleEndian(key);
  let sum = 0n;
  for (let at = 0; at < blocks.length; at += 16) {
    const x = sum ^ littleEndian(blocks.subarray(at, at + 16));
    let product = 0n;
    for (let bit = 0n; bit < 128n; bit++) {
      if ((h >> bit) & 1n) product ^= x << bit;
    }
    for (let bit = 0; bit < 128; bit++) product = (product & 1n ? product ^ modulus : product) >> 1n;
    sum = product;
  }
  return Buffer.from(sum.toString(16).padStart(32, '0'), 'hex').reverse();
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
}

/** RFC 8452 4 with a key of 128 bits: ciphertext, then tag. */
export function gcmSivSeal(key: Uint8Array, data: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Buffer {
  const halves = [0, 1, 2, 3].map((i) =>
    aesBlocks(key, Buffer.concat([Buffer.from([i, 0, 0, 0]), nonce])).subarray(0, 8),
  );
  const cipherKey = Buffer.concat(halves.slice(2));
  const padded = (bytes: Uint8Array) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 15)]);
  const lengths = Buffer.alloc(16);
  lengths.writeBigUInt64LE(BigInt(data.length) * 8n);
  lengths.writeBigUInt64LE(BigInt(plaintext.length) * 8n, 8);
  const hash = polyval(Buffer.concat(halves.slice(0, 2)), Buffer.concat([padded(data), padded(plaintext), lengths]));
  const sum = xor(hash, Buffer.concat([nonce, Buffer.alloc(4)]));
  sum[15]! &= 0x7f;
  const tag = aesBlocks(cipherKey, sum);
  const counters = Array.from({ length: Math.ceil(plaintext.length / 16) }, (_, i) => {
    const counter = Buffer.from(tag);
    counter[15]! |= 0x80;
    counter.writeUInt32LE((counter.readUInt32LE() + i) % 2 ** 32);
    return counter;
  });
  return Buffer.concat([xor(plaintext, aesBlocks(cipherKey, Buffer.concat(counters))), tag]);
}

/** SP 800-108r1 4.1: counter mode. */
export function deriveKey(root: Uint8Array, label: Uint8Array, context: Uint8Array, length: number): Buffer {
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const blocks = Array.from({ length: Math.ceil(length / 16) }, (_, i) =>
    cmac(root, Buffer.concat([u32(i + 1), label, Buffer.alloc(1), context, u32(length * 8)])),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

/** SP 800-90A r1 10.2.1 without derivation function; key and value are the state. */
export class CtrDrbg {
  key: Buffer = Buffer.alloc(16);
  value: Buffer = Buffer.alloc(16);

  constructor(entropy: Uint8Array, personalization: Uint8Array = new Uint8Array(0)) {
    const padded = Buffer.alloc(32);
    padded.set(personalization);
    this.update(xor(entropy, padded));
  }

  update(data: Uint8Array): void {
    const next = xor(Buffer.concat([this.#block(), this.#block()]), data);
    this.key = next.subarray(0, 16);
    this.value = next.subarray(16);
  }

  generate(length: number): Buffer {
    const output = Buffer.concat(Array.from({ length: Math.ceil(length / 16) }, () => this.#block()));
    this.update(Buffer.alloc(32));
    return output.subarray(0, length);
  }

  #block(): Buffer {
    const next = BigInt.asUintN(128, BigInt(`0x${this.value.toString('hex')}`) + 1n);
    this.value = Buffer.from(next.toString(16).padStart(32, '0'), 'hex');
    return aesBlocks(this.key, this.value);
  }
}
