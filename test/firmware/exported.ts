// Builds what `metertime export` writes, with its own Makefile.

import { requireNative } from '../../host/build/native.ts';
import { requireTool, runTool } from '../../host/build/tools.ts';

/** Variables of the Makefile for a program that runs here. */
export function nativeCompiler(): Record<string, string> {
  const { path, args } = requireNative('clang-14');
  return { CC: [path, ...args].join(' '), OPTIMISE: '-O0' };
}

/** Makes targets in an export's folder. Rejects with what make and compiler say. */
export async function makeExported(
  folder: string,
  targets: readonly string[],
  variables: Readonly<Record<string, string>> = nativeCompiler(),
): Promise<void> {
  const make = requireTool('make');
  const clang = requireTool('clang-14');
  const given = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  await runTool({ ...make, env: { ...make.env, ...clang.env } }, ['-s', '-j2', ...targets, ...given], folder);
}
