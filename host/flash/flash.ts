// Writes an image into a board's flash with the programs of the field, and verifies it.
//
// What always holds: "done" means that what is in the flash was read back and is the image. The programs verify
// themselves, but for dfu-util: what it wrote is read back and compared here. A program that stops is not tried again.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunError, run } from '../../scripts/lib/run.mjs';
import type { FlashMethod } from '../build/flash-methods.ts';
import { requireTool } from '../build/tools.ts';
import type { FlashTarget } from './find-device.ts';
import { FlashError } from './flash-error.ts';

/** An image and where it belongs. */
export interface FlashImage {
  readonly elfPath: string;
  readonly binPath: string;
  /** Where the flash begins. */
  readonly origin: number;
}

/** What one method's program is started with, in order. */
export interface FlashStep {
  readonly what: string;
  readonly tool: string;
  readonly args: readonly string[];
}

/** The programs that a method starts. `scratch` is where dfu-util may put what it reads back. */
export function flashSteps(method: FlashMethod, target: FlashTarget, image: FlashImage, scratch: string): FlashStep[] {
  const at = `0x${image.origin.toString(16).padStart(8, '0')}`;
  if (method.method === 'openocd') {
    const serial = target.serial === undefined ? [] : ['-c', `adapter serial ${target.serial}`];
    const config = method.config.flatMap((file) => ['-f', file]);
    const program = `program {${image.elfPath}} verify reset exit`;
    return [{ what: 'writing and verifying', tool: 'openocd', args: [...config, ...serial, '-c', program] }];
  }
  if (method.method === 'st-flash') {
    const serial = target.serial === undefined ? [] : ['--serial', target.serial];
    const args = [...serial, '--reset', 'write', image.binPath, at];
    return [{ what: 'writing and verifying', tool: 'st-flash', args }];
  }
  if (method.method === 'stm32flash') {
    const args = [
      '-b',
      String(method.baud),
      '-m',
      method.mode,
      '-w',
      image.binPath,
      '-v',
      '-S',
      at,
      '-g',
      at,
      target.port ?? '',
    ];
    return [{ what: 'writing and verifying', tool: 'stm32flash', args }];
  }
  const serial = target.serial === undefined ? [] : ['-S', target.serial];
  if (method.method === 'gdb') {
    const commands = [
      'set confirm off',
      'set pagination off',
      `target extended-remote ${target.port ?? ''}`,
      ...method.attach,
      'load',
      'compare-sections',
      ...method.reset,
      'detach',
    ];
    const args = ['-nx', '-batch', ...commands.flatMap((command) => ['-ex', command]), image.elfPath];
    return [{ what: 'writing and verifying', tool: 'gdb-multiarch', args }];
  }
  const device = ['-d', method.usb[0]!, '-a', String(method.alternate), ...serial];
  const bytes = readFileSync(image.binPath).length;
  return [
    { what: 'writing', tool: 'dfu-util', args: [...device, '-s', at, '-D', image.binPath] },
    { what: 'reading back', tool: 'dfu-util', args: [...device, '-s', `${at}:${bytes}`, '-U', join(scratch, 'back')] },
    { what: 'starting', tool: 'dfu-util', args: [...device, '-s', `${at}:leave`] },
  ];
}

const percent = /(\d{1,3}(?:\.\d+)?)\s*%/g;

/** Runs a method to its end. `onProgress` hears what is done and how far it is. Throws `FlashError` and `BuildError`. */
export async function flashBoard(
  method: FlashMethod,
  target: FlashTarget,
  image: FlashImage,
  onProgress: (text: string) => void = () => {},
): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'metertime-'));
  try {
    for (const { what, tool: name, args } of flashSteps(method, target, image, scratch)) {
      onProgress(what);
      const tool = requireTool(name);
      let output = '';
      try {
        output = await run(tool.path, [...tool.args, ...args], {
          env: { ...process.env, ...tool.env, LC_ALL: 'C' },
          onLine: (line) => {
            const last = [...line.matchAll(percent)].at(-1)?.[1];
            if (last !== undefined) onProgress(`${what}, ${Math.floor(Number(last))} %`);
          },
        });
      } catch (cause) {
        if (!(cause instanceof RunError)) throw cause;
        throw new FlashError('flash-failed', failure(name, what, target, cause), { cause });
      }
      if (method.method === 'gdb') checkSections(output, target);
      if (what === 'reading back') compare(image.binPath, join(scratch, 'back'));
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function compare(written: string, back: string): void {
  const [wanted, there] = [readFileSync(written), readFileSync(back)];
  const at = wanted.findIndex((byte, index) => byte !== there[index]);
  if (at < 0) return;
  throw new FlashError('flash-differs', `the flash differs from the image at byte ${at}; flash the board again`);
}

// gdb goes on after a command that failed: what counts is that it compared.
function checkSections(output: string, target: FlashTarget): void {
  const results = [...output.matchAll(/^Section (\S+), range .*: (.*)$/gm)];
  const wrong = results.find(([, , result]) => !/^matched/.test(result!));
  if (results.length > 0 && wrong === undefined) return;
  if (wrong === undefined) {
    throw new FlashError(
      'flash-failed',
      failure('gdb-multiarch', 'writing and verifying', target, { output, message: '' }),
    );
  }
  throw new FlashError(
    'flash-differs',
    `the flash differs from the image in section ${wrong[1]}; flash the board again`,
  );
}

function failure(
  tool: string,
  what: string,
  { what: device }: FlashTarget,
  { output, message }: Pick<RunError, 'output' | 'message'>,
): string {
  const said = output
    .trim()
    .split(/[\r\n]+/)
    .slice(-6)
    .join('\n');
  return `${tool} failed while ${what} (${device}); the board may be without firmware until it is flashed again:\n${said || message}`;
}
