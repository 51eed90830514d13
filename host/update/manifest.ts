// What an update says of its image (`ManifestField`), its signature, and the file that holds images for both slots.
//
// What always holds: a manifest that was read says what can be; the image has the length and the hash that its manifest says.
// A signature covers `signedBytes`: a text that nothing else is signed behind, and the manifest.
//
//   file     0  "MTUP"
//            4  format u16, 1; images u16
//            8  for each image: manifest 128, signature 64 (zeros while it is not signed)
//               then the images, in the same order, each as long as its manifest says
import { createHash, type KeyObject, sign, verify } from 'node:crypto';
import { CoreVersion, ManifestField, ManifestFormat, Slot } from '../../as/abi/codes.ts';
import { manifestBytes, signatureBytes } from '../link/messages.ts';

/** An update cannot be made or read. */
export class UpdateError extends Error {
  constructor(
    readonly code:
      | 'update-file'
      | 'update-board'
      | 'update-version'
      | 'update-image'
      | 'update-key'
      | 'update-unsigned'
      | 'update-refused'
      | 'update-aborted',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'UpdateError';
  }
}

export interface Manifest {
  readonly slot: Slot.A | Slot.B;
  readonly board: string;
  /** Numbers of versions (`versionNumber`). */
  readonly version: number;
  /** The lowest that is taken once this one was confirmed. */
  readonly floor: number;
  readonly coreVersion: number;
  readonly length: number;
  readonly buildUnixSeconds: bigint;
  /** 32 bytes: the first of SHA-512 of the image. */
  readonly imageHash: Uint8Array;
  /** 32 bytes: SHA-256 of core.wasm. */
  readonly coreSha256: Uint8Array;
}

/** The longest file of an update that is read: two images of 4 MiB. */
export const updateFileBytesMax = 9 * 1024 * 1024;

/** How people call a slot. */
export function slotLetter(slot: Slot.A | Slot.B): 'A' | 'B' {
  return slot === Slot.A ? 'A' : 'B';
}

/** An image for one slot. */
export interface UpdateImage {
  readonly manifest: Manifest;
  /** Zeros while it is not signed. */
  readonly signature: Uint8Array;
  readonly image: Uint8Array;
}

/** What is known of an image beside itself. */
export type ImageFacts = Omit<Manifest, 'slot' | 'length' | 'imageHash' | 'coreVersion'>;

const domain = Buffer.from('metertime update', 'latin1');
const boardMost = 31;
const hashBytes = 32;

/** The first 32 bytes of SHA-512 of an image. */
export function imageHash(image: Uint8Array): Uint8Array {
  return createHash('sha512').update(image).digest().subarray(0, hashBytes);
}

/**
 * An image with its manifest, not signed. What four does not divide gets 0xff behind it, as erased flash has.
 * @throws {UpdateError} update-board, update-version, update-image
 */
export function makeImage(slot: Slot.A | Slot.B, bytes: Uint8Array, facts: ImageFacts): UpdateImage {
  const image = new Uint8Array(Math.ceil(bytes.length / 4) * 4).fill(0xff);
  image.set(bytes);
  const boardBytes = Buffer.byteLength(facts.board);
  if (boardBytes < 1 || boardBytes > boardMost) {
    throw new UpdateError('update-board', `expected a board's name of 1 to ${boardMost} bytes, came ${boardBytes}`);
  }
  if (facts.floor > facts.version) {
    throw new UpdateError('update-version', 'the lowest version taken afterwards is above the version itself');
  }
  if (image.length === 0) throw new UpdateError('update-image', 'the image is empty');
  const manifest = {
    ...facts,
    slot,
    coreVersion: CoreVersion.Number,
    length: image.length,
    imageHash: imageHash(image),
  };
  return { manifest, signature: new Uint8Array(signatureBytes), image };
}

/** A manifest's bytes. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const bytes = Buffer.alloc(manifestBytes);
  const board = Buffer.from(manifest.board);
  bytes.writeUInt32LE(ManifestFormat.Magic, ManifestField.Magic);
  bytes.writeUInt8(manifest.slot, ManifestField.Slot);
  bytes.writeUInt16LE(ManifestFormat.Format, ManifestField.Format);
  bytes.writeUInt8(board.length, ManifestField.Board);
  bytes.set(board, ManifestField.Board + 1);
  bytes.writeUInt32LE(manifest.version, ManifestField.Version);
  bytes.writeUInt32LE(manifest.floor, ManifestField.Floor);
  bytes.writeUInt32LE(manifest.coreVersion, ManifestField.CoreVersion);
  bytes.writeUInt32LE(manifest.length, ManifestField.Length);
  bytes.writeBigUInt64LE(manifest.buildUnixSeconds, ManifestField.BuildUnixSeconds);
  bytes.set(manifest.imageHash, ManifestField.ImageHash);
  bytes.set(manifest.coreSha256, ManifestField.CoreSha256);
  return bytes;
}

/** @throws {UpdateError} update-file */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const view = Buffer.from(bytes);
  const slot = view.readUInt8(ManifestField.Slot);
  const boardBytes = view.readUInt8(ManifestField.Board);
  const manifest = {
    slot: slot as Slot.A | Slot.B,
    board: view.toString('utf8', ManifestField.Board + 1, ManifestField.Board + 1 + Math.min(boardBytes, boardMost)),
    version: view.readUInt32LE(ManifestField.Version),
    floor: view.readUInt32LE(ManifestField.Floor),
    coreVersion: view.readUInt32LE(ManifestField.CoreVersion),
    length: view.readUInt32LE(ManifestField.Length),
    buildUnixSeconds: view.readBigUInt64LE(ManifestField.BuildUnixSeconds),
    imageHash: Uint8Array.from(view.subarray(ManifestField.ImageHash, ManifestField.ImageHash + hashBytes)),
    coreSha256: Uint8Array.from(view.subarray(ManifestField.CoreSha256, ManifestField.CoreSha256 + hashBytes)),
  };
  // Whatever else is in it, as what follows the board's name, has to be what is written there.
  const known = (slot === Slot.A || slot === Slot.B) && manifest.floor <= manifest.version && manifest.length > 0;
  if (!known || !view.equals(encodeManifest(manifest))) {
    throw new UpdateError('update-file', 'a manifest says what cannot be, or is of another format');
  }
  return manifest;
}

/** What is signed. */
export function signedBytes(manifest: Manifest): Uint8Array {
  return Buffer.concat([domain, encodeManifest(manifest)]);
}

/** The same image, signed with an Ed25519 key. */
export function signImage(image: UpdateImage, key: KeyObject): UpdateImage {
  return { ...image, signature: sign(null, signedBytes(image.manifest), key) };
}

export function isSigned({ signature }: UpdateImage): boolean {
  return signature.some((byte) => byte !== 0);
}

/** Whether an image is signed with the private half of this key. */
export function signatureHolds({ manifest, signature }: UpdateImage, publicKey: KeyObject): boolean {
  return verify(null, signedBytes(manifest), publicKey, signature);
}

const fileMagic = 'MTUP';
const fileFormat = 1;
const headBytes = 8;
const entryBytes = manifestBytes + signatureBytes;

/** The file of an update. */
export function encodeUpdate(images: readonly UpdateImage[]): Uint8Array {
  const head = Buffer.alloc(headBytes);
  head.write(fileMagic, 'latin1');
  head.writeUInt16LE(fileFormat, 4);
  head.writeUInt16LE(images.length, 6);
  const entries = images.flatMap(({ manifest, signature }) => [encodeManifest(manifest), signature]);
  return Buffer.concat([head, ...entries, ...images.map(({ image }) => image)]);
}

/** @throws {UpdateError} update-file */
export function decodeUpdate(bytes: Uint8Array): UpdateImage[] {
  const file = Buffer.from(bytes);
  const is = file.length >= headBytes && file.toString('latin1', 0, 4) === fileMagic;
  if (!is || file.readUInt16LE(4) !== fileFormat) {
    throw new UpdateError('update-file', 'this is no update of software, or one of another format');
  }
  const count = file.readUInt16LE(6);
  if (count < 1 || count > 2 || file.length < headBytes + count * entryBytes) {
    throw new UpdateError('update-file', `an update has one or two images, this one has ${count} or is cut off`);
  }
  let at = headBytes + count * entryBytes;
  const images = Array.from({ length: count }, (_, i) => {
    const entry = headBytes + i * entryBytes;
    const manifest = decodeManifest(file.subarray(entry, entry + manifestBytes));
    const signature = Uint8Array.from(file.subarray(entry + manifestBytes, entry + entryBytes));
    const image = Uint8Array.from(file.subarray(at, at + manifest.length));
    at += manifest.length;
    if (image.length !== manifest.length || Buffer.compare(imageHash(image), manifest.imageHash) !== 0) {
      throw new UpdateError('update-file', `the image for slot ${slotLetter(manifest.slot)} is damaged or cut off`);
    }
    return { manifest, signature, image };
  });
  if (at !== file.length) throw new UpdateError('update-file', `${file.length - at} bytes follow the last image`);
  if (count === 2 && images[0]!.manifest.slot === images[1]!.manifest.slot) {
    throw new UpdateError('update-file', 'both images are for the same slot');
  }
  return images;
}
