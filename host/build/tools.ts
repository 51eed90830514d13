// Runs the compilers that the firmware build needs: Debian's ARM programs and npm's wasm2c.
// Nothing of the caller's locale, time or home reaches them, so that their output depends on their input alone.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { debianTool } from '../../scripts/debian.mjs';
import { checkout } from '../../scripts/lib/project.mjs';
import { capture } from '../../scripts/lib/run.mjs';
import { BuildError } from './errors.ts';

/** A program with the arguments and environment that it needs wherever it is unpacked. */
export interface Tool {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The checkout's folder. Throws `BuildError` checkout-missing where the program runs without one. */
export function requireCheckout(): string {
  if (checkout === undefined) {
    throw new BuildError(
      'checkout-missing',
      'firmware is built from a checkout of metertime, and this program runs outside one: run it there',
    );
  }
  return checkout;
}

/** Finds a program of Debian's. Throws `BuildError` tool-missing with how to get it. */
export function requireTool(name: string): Tool {
  const tool = debianTool(name);
  if (!tool.ok) throw new BuildError('tool-missing', tool.reason);
  return tool;
}

/** One of the programs of npm's wabt, such as wasm2c. Throws `BuildError` tool-missing. */
export function requireWabt(name: string): Tool {
  try {
    const folder = dirname(createRequire(join(requireCheckout(), 'package.json')).resolve('wabt/package.json'));
    return { path: process.execPath, args: [join(folder, 'bin', name)], env: {} };
  } catch (cause) {
    throw new BuildError('tool-missing', `npm's wabt with ${name} is not there; run: npm ci`, { cause });
  }
}

/**
 * Runs a program in `cwd` and returns what it printed. Throws `BuildError` tool-failed with its complaints. A signal that
 * aborts ends it and all that it started, or keeps it from being started: throws the signal's reason.
 */
export async function runTool(tool: Tool, args: readonly string[], cwd: string, signal?: AbortSignal): Promise<string> {
  try {
    const { stdout } = await capture(tool.path, [...tool.args, ...args], {
      cwd,
      signal,
      env: { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC', ...tool.env },
      maxBuffer: 64 << 20,
    });
    return stdout;
  } catch (cause) {
    signal?.throwIfAborted();
    const { stderr, message } = cause as Error & { stderr?: string };
    const what = [...tool.args.slice(-1), ...args].join(' ').slice(0, 200);
    throw new BuildError('tool-failed', `${tool.path} ${what}:\n${stderr || message}`, { cause });
  }
}
