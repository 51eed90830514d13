// The meter at the other end of a link, watched and served as by a gateway, but with nothing kept and nothing acknowledged.
import type { Context } from './context.ts';
import { CliError } from './errors.ts';

export async function monitorLink(
  _context: Context,
  link: string,
  _options: { json?: boolean; ca?: string[] },
): Promise<void> {
  throw new CliError('link', `${link}: `);
}
