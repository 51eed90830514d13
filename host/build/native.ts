// The compiler for programs of this machine, and what their sanitizers are told.
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { requireTool, type Tool } from './tools.ts';

/** A compiler of Debian's, able to link. Throws `BuildError` tool-missing. */
export function requireNative(name: string): Tool {
  const found = requireTool(name);
  return { ...found, args: [...found.args, ...systemRoot(found)] };
}

/**
 * Where there is no C library to develop with, clang was unpacked with one, and gets its folder as the root of a system.
 * What it links to at run time is the machine's own.
 */
function systemRoot(compiler: Tool): string[] {
  const folder = dirname(dirname(dirname(compiler.path)));
  if (folder === '/' || !existsSync(join(folder, 'usr', 'include', 'stdio.h'))) return [];
  const libraries = readdirSync(join(folder, 'usr', 'lib')).find((name) => name.includes('-linux-')) ?? '';
  const shared = ['libc.so.6', 'libm.so.6', 'libmvec.so.1', 'libgcc_s.so.1', 'libstdc++.so.6'];
  const places = [
    ...shared.flatMap((name) => [join('lib', libraries, name), join('usr', 'lib', libraries, name)]),
    ...readdirSync('/lib64').map((name) => join('lib64', name)),
  ];
  for (const place of places) {
    const link = join(folder, place);
    if (!existsSync(join('/', place)) || existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    try {
      symlinkSync(join('/', place), link);
    } catch (error) {
      // Another build was first.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  return [`--sysroot=${folder}`];
}

/** What the sanitizers of a program are told. */
export function sanitizerEnvironment(): Record<string, string> {
  const clang = requireTool('clang-14');
  // What names functions in reports; clang brings the second with its linker.
  const folders = [...(process.env.PATH ?? '').split(':'), dirname(clang.path)];
  const symbolizer = ['llvm-symbolizer', 'addr2line']
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((path) => existsSync(path));
  const shared = `external_symbolizer_path=${symbolizer ?? ''}`;
  return {
    ...clang.env,
    // The core allocates nothing, and what is around it keeps what it allocates.
    ASAN_OPTIONS: `${shared}:detect_leaks=0`,
    UBSAN_OPTIONS: `${shared}:print_stacktrace=1`,
  };
}
