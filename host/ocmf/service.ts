// What a gateway signs charging transactions with, as its settings say it: the key, and of each meter its seals and what
// stands in its data sets.
// What always holds: keys stay in here; what is told of them is the public one.
import { passwordIn } from '../config/named-files.ts';
import { pinVariable } from '../config/ocmf-schema.ts';
import type { OcmfSettings } from '../config/settings.ts';
import { readFileWithin } from '../files.ts';
import { readKeysFile } from '../provision/meter-keys.ts';
import { OcmfError, type OcmfOptions } from './from-records.ts';
import { KeptSigner } from './kept-signer.ts';
import { KeylessFollower, OcmfMaker, type OcmfMakerOptions, type TransactionFollower } from './maker.ts';
import { identificationOf } from './payload.ts';
import { fileSigner, type OcmfSigner, tokenSigner } from './signer.ts';
import type { MeterSeals } from './transactions.ts';

const pinFileBytes = 4_096;

interface Signed {
  readonly seals: MeterSeals;
  readonly options: OcmfOptions;
}

export class OcmfService {
  readonly #meters: ReadonlyMap<string, Signed>;

  private constructor(
    private readonly signer: KeptSigner,
    meters: readonly (readonly [string, Signed])[],
  ) {
    this.#meters = new Map(meters);
  }

  /**
   * Reads keys and opens the token.
   * @param version of what signs
   * @throws {OcmfError} file-key, file-pin @throws {FileError} @throws {KeysFileError}
   */
  static async start(settings: OcmfSettings, version: string): Promise<OcmfService> {
    const meters = settings.meters.map((each): readonly [string, Signed] => {
      const { meter, recordKey } = readKeysFile(each.keysFile);
      return [meter, { seals: { meter, recordKey }, options: optionsOf(settings, each, version) }];
    });
    return new OcmfService(await KeptSigner.start(() => openSigner(settings)), meters);
  }

  /** For people who look for the key: SHA-256 of the public one (SPKI, DER), in hexadecimal digits. */
  get publicKeySha256(): string {
    return this.signer.publicKeySha256;
  }

  /** Ids of the meters whose transactions are signed. */
  get meters(): readonly string[] {
    return [...this.#meters.keys()];
  }

  /** What follows the records of a meter. */
  follower(meter: string, options: Omit<OcmfMakerOptions, 'seals' | 'options' | 'signer'>): TransactionFollower {
    const signed = this.#meters.get(meter);
    if (signed === undefined) return new KeylessFollower(options.log);
    return new OcmfMaker({ ...options, ...signed, signer: this.signer });
  }

  close(): void {
    this.signer.close();
  }
}

function optionsOf(settings: OcmfSettings, meter: OcmfSettings['meters'][number], version: string): OcmfOptions {
  const { gateway, gatewaySerial } = settings;
  const { vendor, evse, user, register, current, tariffText } = meter;
  return {
    gateway: { identification: gateway, serial: gatewaySerial, version },
    vendor,
    identification: user === undefined ? undefined : identificationOf(user),
    chargePoint: evse === undefined ? undefined : { type: 'EVSEID', id: evse },
    tariffText,
    register,
    currentType: current,
  };
}

async function openSigner(settings: OcmfSettings): Promise<OcmfSigner> {
  const { keyFile, tokenModule: module, tokenLabel: token, tokenKey: label, tokenPinFile } = settings;
  if (keyFile !== undefined) return fileSigner(keyFile);
  if (module === undefined || label === undefined) {
    throw new OcmfError('file-key', 'expected ocmf.keyFile, or ocmf.tokenModule and ocmf.tokenKey');
  }
  const pin =
    tokenPinFile === undefined
      ? process.env[pinVariable]
      : passwordIn(readFileWithin(tokenPinFile, pinFileBytes, 'file'));
  if (pin === undefined || pin === '') {
    throw new OcmfError(
      'file-pin',
      `expected the PIN of the token in ocmf.tokenPinFile, or in the environment as ${pinVariable}; came none`,
    );
  }
  return tokenSigner({ module, token, label, pin });
}
