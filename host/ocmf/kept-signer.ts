// The signer of a gateway, for as long as the gateway runs: a token that was pulled out, or has forgotten its session, is
// opened again.
// What always holds: what signs has the public key that it had at the start; a PIN that is refused is not tried a second
// time, as tokens lock themselves.
import { createHash } from 'node:crypto';
import { OcmfError } from './from-records.ts';
import { type OcmfSigner, signOcmf, spkiOf } from './signer.ts';

export class KeptSigner {
  readonly publicKeyPem: string;
  readonly #open: () => Promise<OcmfSigner>;
  #signer: OcmfSigner | undefined;
  #opening: Promise<OcmfSigner> | undefined;
  #refused: OcmfError | undefined;

  private constructor(open: () => Promise<OcmfSigner>, signer: OcmfSigner) {
    this.#open = open;
    this.#signer = signer;
    this.publicKeyPem = signer.publicKeyPem;
  }

  /** @throws {OcmfError} file-key, file-pin */
  static async start(open: () => Promise<OcmfSigner>): Promise<KeptSigner> {
    return new KeptSigner(open, await open());
  }

  /** SHA-256 of the public key (SPKI, DER), in hexadecimal digits. */
  get publicKeySha256(): string {
    return createHash('sha256').update(spkiOf(this.publicKeyPem)).digest('hex');
  }

  /**
   * The data set of a payload.
   * @throws {OcmfError} where nothing can be signed now
   */
  async sign(payload: string): Promise<string> {
    if (this.#refused !== undefined) throw this.#refused;
    if (this.#signer === undefined) this.#opening ??= this.#reopen();
    const signer = this.#signer ?? (await this.#opening!);
    try {
      return signOcmf(payload, signer);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #reopen(): Promise<OcmfSigner> {
    try {
      const signer = await this.#open();
      if (signer.publicKeyPem !== this.publicKeyPem) {
        signer.close();
        throw new OcmfError('token', 'expected the key that was there when the gateway started, came another one');
      }
      this.#signer = signer;
      return signer;
    } catch (cause) {
      // A file of the PIN that is gone is no defect either.
      const error =
        cause instanceof OcmfError
          ? cause
          : new OcmfError('token', `the key cannot be opened again: ${(cause as Error).message}`, { cause });
      if (error.code === 'file-pin') this.#refused = error;
      throw error;
    } finally {
      this.#opening = undefined;
    }
  }

  close(): void {
    const signer = this.#signer;
    this.#signer = undefined;
    signer?.close();
  }
}
