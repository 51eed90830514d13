// AEAD algorithms as people write and read them: by name or by number of IANA's registry, in the order of preference.
import { aeadName } from '../text/names.ts';
import { quoted } from './host-port.ts';

/** The AEADs that the core knows, in the order in which it offers them unless it is told another one. */
export const knownAeads = [30, 15, 16, 17] as const;

/** A name without what all of them share: `AES-SIV-CMAC-256` for `AEAD_AES_SIV_CMAC_256`. */
export function shortAead(name: string): string {
  return name.replace(/^AEAD_/, '').replaceAll('_', '-');
}

/** Of a number: `AES-SIV-CMAC-256`. */
export function aeadText(aead: number): string {
  return shortAead(aeadName(aead) ?? 'none');
}

/**
 * Reads a name (`AES-128-GCM-SIV`, `AEAD_AES_128_GCM_SIV`, in any case) or a number.
 * @throws {RangeError} with a message that says what was expected
 */
export function parseAead(text: string | number): number {
  const wanted = String(text).trim();
  const plain = shortAead(wanted.toUpperCase());
  const found = knownAeads.find((aead) => wanted === String(aead) || plain === aeadText(aead));
  if (found === undefined) throw new RangeError(`${quoted(wanted)}: expected ${aeadChoice}`);
  return found;
}

/** `AES-128-GCM-SIV (30), …`: what there is to choose from. */
export const aeadChoice = `one of ${knownAeads.map((aead) => `${aeadText(aead)} (${aead})`).join(', ')}`;

/** A list of names and numbers. @throws {RangeError} also for one that comes twice, and for none at all */
export function parseAeads(texts: readonly (string | number)[]): number[] {
  const aeads = texts.map(parseAead);
  const twice = aeads.find((aead, index) => aeads.indexOf(aead) !== index);
  if (twice !== undefined) throw new RangeError(`expected each algorithm once, ${aeadText(twice)} came twice`);
  if (aeads.length === 0) throw new RangeError(`expected at least ${aeadChoice}`);
  return aeads;
}
