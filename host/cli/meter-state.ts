// A meter's published reports, from a file or from standard input, for commands that turn them into something else.
import { readTextWithin } from '../files.ts';
import { type MeterState, ReportError, stateOfLines } from '../ocpp/reports.ts';
import type { Context } from './context.ts';

const limitBytes = 16 << 20;

/**
 * @param path of lines as `mosquitto_sub` or `metertime monitor --json` print them; `-` for standard input, to its end
 * @throws {FileError} @throws {ReportError}
 */
export async function readMeterState(context: Context, path: string, meter?: string): Promise<MeterState> {
  const text = path === '-' ? await readStdin(context.signal) : readTextWithin(path, limitBytes);
  return stateOfLines(text, path === '-' ? 'standard input' : path, meter);
}

async function readStdin(signal: AbortSignal): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  const stop = () => process.stdin.destroy(new ReportError('standard input: ended by Ctrl-C'));
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const piece of process.stdin as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > limitBytes) throw new ReportError(`standard input: expected at most ${limitBytes} bytes, came more`);
      pieces.push(piece);
    }
  } finally {
    signal.removeEventListener('abort', stop);
  }
  return Buffer.concat(pieces).toString('utf8');
}
