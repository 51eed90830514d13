// Values of options, checked while the command line is read.
import { InvalidArgumentError, Option } from 'commander';
import { aeadChoice, aeadText, knownAeads, parseAead, parseAeads } from '../provision/aeads.ts';
import { type Agreement, settingsLimits } from '../provision/settings-block.ts';

/** Seconds, with a fraction if need be; more than zero. */
export function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0 || value > 86_400) {
    throw new InvalidArgumentError('Expected a number of seconds, more than 0 and at most 86400.');
  }
  return value;
}

/** A whole number from 0 on. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

/** The number of an entry or a transaction: 32 bits, from 1 on. */
export function sequenceNumber(text: string): number {
  const value = Number(text);
  if (/^\d{1,10}$/.test(text) && value >= 1 && value <= 0xffff_ffff) return value;
  throw new InvalidArgumentError('Expected a whole number from 1 to 4294967295.');
}

/** AEADs separated by commas, behind those of the same option before. */
function aeadList(text: string, before: number[] | undefined): number[] {
  try {
    return parseAeads([...(before ?? []), ...text.split(',').map(parseAead)]);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as Error).message}.`);
  }
}

/** `--aead`: the AEADs to offer. Its value is undefined where it is not given: the core's own choice then. */
export function aeadOption(): Option {
  const fallback = knownAeads.map(aeadText).join(', ');
  return new Option(
    '--aead <names>',
    `AEADs to offer, the preferred one first, separated by commas or repeated: ${aeadChoice} (default: ${fallback})`,
  ).argParser(aeadList);
}

/** How many servers have to agree: a number, or `majority`. */
export function agreement(text: string): Agreement {
  const value = text === 'majority' ? text : Number(text);
  if (value === 'majority' || (/^\d$/.test(text) && value >= 1 && value <= settingsLimits.servers)) return value;
  throw new InvalidArgumentError(`Expected majority, or a whole number from 1 to ${settingsLimits.servers}.`);
}
