// Signs OCMF payloads: ECDSA over secp256r1 with SHA-256 (ECDSA-secp256r1-SHA256), DER, hexadecimal.
// What always holds: the key never leaves the file or token it is in; what is signed are the payload's bytes as given.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { OcmfError } from './from-records.ts';

/** What signs. */
export interface OcmfSigner {
  /** For verifiers: the public key, SPKI in PEM. */
  readonly publicKeyPem: string;
  /** Signature over the bytes: DER. @throws {OcmfError} token, where it does not sign now */
  sign(bytes: Uint8Array): Uint8Array;
  /** Frees a token; the signer must not be used afterwards. */
  close(): void;
}

const curve = 'prime256v1';

/** A data set: header, payload, signature. The signature is checked before it is handed out. */
export function signOcmf(payload: string, signer: OcmfSigner): string {
  const bytes = Buffer.from(payload, 'utf8');
  const signature = signer.sign(bytes);
  if (!verifyBytes('sha256', bytes, createPublicKey(signer.publicKeyPem), signature)) {
    throw new OcmfError(
      'file-key',
      'the signature does not hold under the public key: private and public key do not belong together',
    );
  }
  const section = JSON.stringify({
    SA: 'ECDSA-secp256r1-SHA256',
    SE: 'hex',
    SD: Buffer.from(signature).toString('hex'),
  });
  return `OCMF|${payload}|${section}`;
}

/** A signer whose key is in a PEM file (SEC 1 or PKCS #8, without a passphrase). @throws {OcmfError} file-key */
export function fileSigner(path: string): OcmfSigner {
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (cause) {
    throw new OcmfError('file-key', `${path}: ${expectedPem}: ${(cause as Error).message}`, { cause });
  }
  return pemSigner(pem, path);
}

const expectedPem = 'expected a private key in PEM without a passphrase';

/** As `fileSigner`, of what was read from a file; `path` is what errors call it. @throws {OcmfError} file-key */
export function pemSigner(pem: Buffer, path: string): OcmfSigner {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new OcmfError('file-key', `${path}: ${expectedPem}: ${(cause as Error).message}`, { cause });
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type !== 'ec' || details?.namedCurve !== curve) {
    const came = type === 'ec' ? `one on ${details?.namedCurve}` : type;
    throw new OcmfError(
      'file-key',
      `${path}: expected an EC key on secp256r1, came ${came}; make one with: openssl ecparam -name ${curve} -genkey -noout`,
    );
  }
  return {
    publicKeyPem: spki(createPublicKey(key)),
    sign: (bytes) => signBytes('sha256', bytes, key),
    close: () => {},
  };
}

/** The DER of a public key in PEM (SubjectPublicKeyInfo). */
export function spkiOf(publicKeyPem: string): Buffer {
  return createPublicKey(publicKeyPem).export({ format: 'der', type: 'spki' });
}

function spki(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

/** Where a key is in a token. */
export interface TokenKey {
  /** PKCS #11 module, such as /usr/lib/softhsm/libsofthsm2.so. */
  readonly module: string;
  /** Label of the token; default: the only one there is. */
  readonly token?: string | undefined;
  /** Label of the key pair. */
  readonly label: string;
  readonly pin: string;
}

/**
 * A signer whose key is in a token (PKCS #11: CKM_ECDSA). Needs the optional package pkcs11js.
 * @throws {OcmfError} file-key; file-pin where the token did not take its PIN
 */
export async function tokenSigner(where: TokenKey): Promise<OcmfSigner> {
  const pkcs11js = await import('pkcs11js').catch((cause) => {
    throw new OcmfError(
      'file-key',
      'tokens need the npm package pkcs11js, which is not installed; npm install pkcs11js',
      {
        cause,
      },
    );
  });
  const { PKCS11, ...constants } = pkcs11js.default ?? pkcs11js;
  const library = new PKCS11();
  const attempt = <T>(what: string, run: () => T, code: OcmfError['code'] = 'file-key'): T => {
    try {
      return run();
    } catch (cause) {
      throw new OcmfError(code, `${where.module}: ${what}: ${(cause as Error).message}`, { cause });
    }
  };
  attempt('the module cannot be loaded', () => library.load(where.module));
  attempt('the module cannot be started', () => library.C_Initialize());
  const close = () => {
    try {
      attempt('the module cannot be ended', () => library.C_Finalize(), 'token');
    } finally {
      library.close();
    }
  };
  try {
    const slot = findSlot();
    const session = attempt('no session', () => library.C_OpenSession(slot, constants.CKF_SERIAL_SESSION));
    attempt('the PIN was not accepted', () => library.C_Login(session, constants.CKU_USER, where.pin), 'file-pin');
    const privateKey = findKey(session, constants.CKO_PRIVATE_KEY, 'private');
    const publicKey = findKey(session, constants.CKO_PUBLIC_KEY, 'public');
    const [parameters, point] = library.C_GetAttributeValue(session, publicKey, [
      { type: constants.CKA_EC_PARAMS },
      { type: constants.CKA_EC_POINT },
    ]);
    const key = pointKey(parameters?.value as Buffer, point?.value as Buffer);
    return {
      publicKeyPem: spki(key),
      sign: (bytes) => {
        const digest = createHash('sha256').update(bytes).digest();
        const signature = attempt(
          'the token does not sign',
          () => {
            library.C_SignInit(session, { mechanism: constants.CKM_ECDSA }, privateKey);
            return library.C_Sign(session, digest, Buffer.alloc(64));
          },
          'token',
        );
        return derSignature(signature);
      },
      close,
    };
  } catch (cause) {
    close();
    if (cause instanceof OcmfError) throw cause;
    throw new OcmfError('file-key', `${where.module}: the key cannot be read: ${(cause as Error).message}`, { cause });
  }

  function findSlot(): Buffer {
    const slots = library.C_GetSlotList(true);
    const labels = slots.map((slot) => library.C_GetTokenInfo(slot).label.trim());
    const index = where.token === undefined ? (slots.length === 1 ? 0 : -1) : labels.indexOf(where.token);
    if (index >= 0) return slots[index]!;
    throw new OcmfError(
      'file-key',
      `${where.module}: expected ${where.token === undefined ? 'one token' : `a token "${where.token}"`}, came ${labels.map((label) => `"${label}"`).join(', ') || 'none'}`,
    );
  }

  function findKey(session: Buffer, kind: number, name: string): Buffer {
    library.C_FindObjectsInit(session, [
      { type: constants.CKA_CLASS, value: kind },
      { type: constants.CKA_KEY_TYPE, value: constants.CKK_EC },
      { type: constants.CKA_LABEL, value: where.label },
    ]);
    const found = library.C_FindObjects(session, 2);
    library.C_FindObjectsFinal(session);
    const [key] = found;
    if (found.length === 1 && key !== undefined) return key;
    throw new OcmfError(
      'file-key',
      `${where.module}: expected one ${name} EC key labelled "${where.label}", came ${found.length === 0 ? 'none' : 'several'}`,
    );
  }
}

// OID of secp256r1 in DER (RFC 5480 2.1.1.1), and the length of an uncompressed point on it.
const curveOid = Buffer.from('06082a8648ce3d030107', 'hex');
const pointBytes = 65;

// PKCS #11 wraps the point into an OCTET STRING (PKCS #11 3.0, 6.3.3).
function pointKey(parameters: Buffer, wrapped: Buffer): KeyObject {
  if (!parameters.equals(curveOid)) {
    throw new OcmfError('file-key', `expected a key on secp256r1, came curve ${parameters.toString('hex')}`);
  }
  const point = wrapped.subarray(wrapped.length - pointBytes);
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((value) => value.toString('base64url'));
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: x!, y: y! }, format: 'jwk' });
}

// r and s of 32 bytes each as SEQUENCE of two INTEGERs (RFC 3279 2.2.3).
function derSignature(raw: Buffer): Buffer {
  const body = Buffer.concat([derInteger(raw.subarray(0, 32)), derInteger(raw.subarray(32, 64))]);
  return Buffer.concat([Buffer.from([0x30, body.length]), body]);
}

function derInteger(value: Buffer): Buffer {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const digits = value.subarray(start);
  const padded = digits[0]! >= 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits;
  return Buffer.concat([Buffer.of(0x02, padded.length), padded]);
}
