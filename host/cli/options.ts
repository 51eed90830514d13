// Values of options, checked while the command line is read.
import { InvalidArgumentError } from 'commander';

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
