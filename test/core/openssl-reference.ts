// The core's algorithms written a second time, straight from the standards, on the ciphers of OpenSSL that node has.
// For comparison in tests; not constant-time.
import { createCipheriv } from 'node:crypto';

/** AES-128 of whole blocks, each on its own. */
export function aesBlocks(key: Uint8Array, blocks: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-128-ecb', key, null).setAutoPadding(false);
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

/** RFC 4493 2.4, by CBC encryption with the last block masked. */
export function cmac(key: Uint8Array, message: Uint8Array): Buffer {
  const k1 = double(aesBlocks(key, Buffer.alloc(16)));
  const full = message.length > 0 && message.length % 16 === 0;
  const head = message.subarray(0, message.length - (full ? 16 : message.length % 16));
  const rest = message.subarray(head.length);
  const last = full ? xor(rest, k1) : xor(pad(rest), double(k1));
  const cipher = createCipheriv('aes-128-cbc', key, Buffer.alloc(16)).setAutoPadding(false);
  return Buffer.concat([cipher.update(head), cipher.update(last), cipher.final()]).subarray(-16);
}

/** RFC 5297 2.6: tag, then ciphertext. */
export function sivSeal(key: Uint8Array, strings: readonly Uint8Array[], plaintext: Uint8Array): Buffer {
  const macKey = key.subarray(0, 16);
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
  const cipher = createCipheriv('aes-128-ctr', key.subarray(16), counter);
  return Buffer.concat([v, cipher.update(plaintext), cipher.final()]);
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
