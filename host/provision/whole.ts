// Whole numbers in a meter's settings file.
import { z } from 'zod';

/** A whole number, refused with one sentence whatever is wrong with it. */
export function whole({ least, most }: { readonly least: number; readonly most: number }, unit: string) {
  const error = `expected a whole number${unit} from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}
