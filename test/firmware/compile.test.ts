// How compilers are run: what a build that is broken off leaves behind.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadBoard } from '../../host/build/board.ts';
import { compileImage } from '../../host/build/compile.ts';
import { root } from '../../scripts/lib/project.mjs';

it('a compiler that fails starts no other one, and those at work have ended before that is told', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-compile-'));
  try {
    // The core's takes its time once the other one has failed; a third would leave a file.
    const script = `case "$*" in
      *core.c*) while [ ! -e failed ]; do :; done; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; : > obj/core/core.ci; : > ended ;;
      *first.c*) : > failed; exit 1 ;;
      *) : > further ;;
    esac`;
    const gcc = { path: '/bin/sh', args: ['-c', `cd ${folder} && ${script}`, 'sh'], env: {} };
    const sources = ['firmware/first.c', 'firmware/second.c', 'firmware/third.c'];
    const inputs = { root, folder, board: loadBoard('mps2-an385'), gcc, sources, elfPath: join(folder, 'image.elf') };
    await expect(compileImage(inputs)).rejects.toMatchObject({ code: 'tool-failed' });
    expect(existsSync(join(folder, 'ended'))).toBe(true);
    expect(existsSync(join(folder, 'further'))).toBe(false);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
