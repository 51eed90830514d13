// Every Debian program that the set-up brings runs from where it lies, and the compiler and the emulator do their work.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { debianTool, groups } from '../../scripts/debian.mjs';

/** Runs a program to its end, whatever its exit code; stdout and stderr together. */
async function runTool(name: string, args: string[]): Promise<string> {
  const tool = debianTool(name);
  if (!tool.ok) throw new Error(tool.reason);
  const env = { ...process.env, ...tool.env };
  const result = await promisify(execFile)(tool.path, [...tool.args, ...args], { env, timeout: 20_000 }).catch(
    (error) => {
      if (error.stdout === undefined || error.killed) throw error;
      return error;
    },
  );
  return `${result.stdout}${result.stderr}`;
}

describe.each(Object.entries(groups))('%s', (_, group) => {
  test.each(Object.entries(group.tools))('%s says what it is', async (name, tool) => {
    expect(await runTool(name, tool.version)).toMatch(tool.expect);
  });
});

test('the compiler links a Cortex-M3 program without a C library, and the emulator runs it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-hello-'));
  try {
    const source = fileURLToPath(new URL('fixtures/hello.c', import.meta.url));
    const elf = join(folder, 'hello.elf');
    const flags = ['-mcpu=cortex-m3', '-mthumb', '-Os', '-Wall', '-Werror', '-ffreestanding', '-nostdlib'];
    const link = ['-Wl,--section-start=.vectors=0', '-Wl,-Ttext=0x100', '-Wl,-e,main'];
    expect(await runTool('arm-none-eabi-gcc', [...flags, ...link, source, '-lgcc', '-o', elf])).toBe('');
    expect(await runTool('arm-none-eabi-size', [elf])).toMatch(/hello\.elf/);
    const semihosting = ['-semihosting-config', 'enable=on,target=native'];
    const output = await runTool('qemu-system-arm', ['-M', 'mps2-an385', '-nographic', ...semihosting, '-kernel', elf]);
    expect(output).toContain('1000000007 seconds\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a program that no group has is a mistake of the caller', () => {
  expect(() => debianTool('sntpd')).toThrow(/no group/);
});
