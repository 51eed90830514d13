// `metertime export --target c`: builds on its own, the same anywhere, under names of its own; and what it refuses.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireTool, runTool } from '../../host/build/tools.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { type CExport, exportC } from '../../host/export/c-export.ts';
import { root } from '../../scripts/lib/project.mjs';
import { runMetertime } from '../host/cli-run.ts';
import { temporaryFolder } from './echo-meter.ts';
import { makeExported } from './exported.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const folder = join(temporary.path, 'exported');
let exported: CExport;
beforeAll(async () => {
  const { exitCode, stdout, stderr } = await runMetertime(['export', '--target', 'c', '--out', folder, '--json']);
  expect(stderr.replaceAll(/^exporting: .*\n/gm, '')).toBe('');
  expect(exitCode).toBe(ExitCode.Ok);
  exported = JSON.parse(stdout) as CExport;
}, 300_000);

const filesBelow = (path: string) =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort();

describe('what is written', () => {
  it('is what it says, with the core that boards have', () => {
    expect(filesBelow(folder)).toEqual(exported.files);
    const core = readFileSync(join(root, 'build', 'core-1.wasm'));
    expect(readFileSync(join(folder, 'core.wasm')).equals(core)).toBe(true);
    expect(JSON.parse(readFileSync(join(folder, 'export.json'), 'utf8'))).toMatchObject({
      servers: 1,
      coreSha256: exported.coreSha256,
    });
  });

  it('takes of a Cortex-M3 what is told: flash, RAM, and a stack with a bound', () => {
    expect(exported.needs!.flashBytes).toBeGreaterThan(50_000);
    expect(exported.needs!.flashBytes).toBeLessThan(100_000);
    expect(exported.needs!.ramBytes).toBeGreaterThan(exported.coreMemoryBytes);
    expect(exported.needs!.ramBytes).toBeLessThan(16_384);
    expect(exported.needs!.stackBytes).toBeLessThan(2_048);
  });

  it('is the same in another folder, and names nothing of this machine', async () => {
    const other = join(temporary.path, 'other');
    await exportC({ servers: 1, example: 'super-loop', outDir: other, measure: false });
    for (const name of filesBelow(folder)) {
      const bytes = readFileSync(join(folder, name));
      expect(bytes.equals(readFileSync(join(other, name))), name).toBe(true);
      for (const place of [root, tmpdir(), homedir(), temporary.path]) {
        if (place !== '/') expect(bytes.includes(place), `${place} in ${name}`).toBe(false);
      }
    }
  });

  it('compiles without a warning as C11 for a Cortex-M3 and M0 with all parts, under names of its own', {
    timeout: 120_000,
  }, async () => {
    const port = join(temporary.path, 'port');
    mkdirSync(port);
    const config = readFileSync(join(folder, 'example', 'metertime_config.h'), 'utf8');
    writeFileSync(
      join(port, 'metertime_config.h'),
      config.replaceAll('// #define METERTIME_HAS', '#define METERTIME_HAS'),
    );
    const headers = `-ffreestanding -idirafter ${join(root, 'firmware/runtime/include')}`;
    const glue = readdirSync(join(folder, 'src')).filter((name) => name.endsWith('.c') && name !== 'core.c');
    const objects = glue.map((name) => name.replace(/c$/, 'o'));
    for (const cpu of ['cortex-m3', 'cortex-m0']) {
      const build = join(temporary.path, cpu);
      const flags = `-mcpu=${cpu} -mthumb ${headers}`;
      const variables = { CC: requireTool('arm-none-eabi-gcc').path, PORT: port, BUILD: build, CPU: flags };
      await makeExported(
        folder,
        objects.map((object) => `${build}/${object}`),
        variables,
      );
    }
    const nm = requireTool('arm-none-eabi-nm');
    const symbols = await runTool(nm, ['-g', '--defined-only', ...objects], join(temporary.path, 'cortex-m0'));
    const names = [...symbols.matchAll(/^[0-9a-f]+ \w (\w+)$/gm)].map(([, name]) => name!);
    expect(names).toContain('metertime_step');
    // What wasm2c writes: functions at the begin of a line that are not static.
    const core = readFileSync(join(folder, 'src', 'core.c'), 'utf8');
    const functions = [...core.matchAll(/^(?!static)\w[\w* ]*?\b(\w+)\([^()]*\) \{$/gm)].map(([, name]) => name!);
    expect(functions).toContain('w2c_core_handle');
    expect([...names, ...functions].filter((name) => !/^(metertime|w2c_core|wasm2c_core)_/.test(name))).toEqual([]);
  });
});

it('has AES bitsliced where the port says that there is a data cache, and nothing of it elsewhere', async () => {
  const port = join(temporary.path, 'cached');
  mkdirSync(port);
  const config = readFileSync(join(folder, 'example', 'metertime_config.h'), 'utf8');
  const preprocess = async (text: string) => {
    writeFileSync(join(port, 'metertime_config.h'), text);
    const includes = ['src', 'include', port].map((path) => `-I${path}`);
    const headers = ['-ffreestanding', '-idirafter', join(root, 'firmware/runtime/include')];
    return runTool(requireTool('arm-none-eabi-gcc'), ['-E', '-P', ...includes, ...headers, 'src/core.c'], folder);
  };
  const [table, chosen] = [
    await preprocess(config),
    await preprocess(config.replace('// #define METERTIME_HAS_DATA_CACHE', '#define METERTIME_HAS_DATA_CACHE')),
  ];
  expect(table.includes('w2c_core_bitsliceAes')).toBe(false);
  expect(chosen.includes('void w2c_core_bitsliceAes(w2c_core* instance) {')).toBe(true);
  const [, global] = /w2c_core_bitsliceAes_0\(void\) \{[^}]*?(w2c_g\d+) = /.exec(chosen) ?? [];
  expect(global).toBeDefined();
  const uses = (text: string) => text.split(`wasm_instance->${global}`).length - 1;
  expect(uses(table)).toBe(0);
  expect(uses(chosen)).toBeGreaterThan(4);
});

it.each(['freertos', 'zephyr'] as const)(
  'the example for %s is there with its numbers and what it is',
  async (example) => {
    const out = join(temporary.path, example);
    const { files } = await exportC({ servers: 4, example, outDir: out, measure: false });
    expect(files).toEqual(expect.arrayContaining(['example/main.c', 'example/port.c', 'example/metertime_config.h']));
    expect(readFileSync(join(out, 'README.md'), 'utf8')).toMatch(/compiled/);
    // Its numbers suffice for the glue; what they are of Zephyr's is given.
    const headers = `-mcpu=cortex-m3 -mthumb -ffreestanding -idirafter ${join(root, 'firmware/runtime/include')}`;
    const flags = `${headers} -DCONFIG_SYS_CLOCK_TICKS_PER_SEC=10000`;
    const objects = ['adapter', 'core_port', 'start_event'].map((name) => `build/${name}.o`);
    await makeExported(out, objects, { CC: requireTool('arm-none-eabi-gcc').path, CPU: flags });
  },
);

describe('what is refused', () => {
  it('a folder that is not empty, unless it is to be written over', async () => {
    const full = join(temporary.path, 'full');
    mkdirSync(full);
    writeFileSync(join(full, 'mine'), 'mine');
    writeFileSync(join(full, 'README.md'), 'mine too');
    const refused = await runMetertime(['export', '--target', 'c', '--out', full]);
    expect(refused).toMatchObject({ exitCode: ExitCode.Failed, stdout: '' });
    expect(refused.stderr).toMatch(/full is not empty: .*--force/);
    expect(filesBelow(full)).toEqual(['README.md', 'mine']);
    await exportC({ servers: 1, example: 'super-loop', outDir: full, force: true, measure: false });
    expect(readFileSync(join(full, 'mine'), 'utf8')).toBe('mine');
    expect(readFileSync(join(full, 'README.md'), 'utf8')).toMatch(/^# metertime/);
  });

  it('a file in the place of the folder', async () => {
    const { exitCode, stderr } = await runMetertime(['export', '--target', 'c', '--out', join(folder, 'README.md')]);
    expect(exitCode).toBe(ExitCode.Failed);
    expect(stderr).toMatch(/README\.md is no folder/);
  });

  it.each([
    [[], '--target'],
    [['--target', 'rust'], 'rust'],
    [['--target', 'c', '--servers', '2'], '1 or 4'],
    [['--target', 'c', '--example', 'nuttx'], 'nuttx'],
  ])('a command line such as %j', async (args, complaint) => {
    const out = join(temporary.path, 'none');
    const { exitCode, stderr } = await runMetertime(['export', '--out', out, ...args]);
    expect(exitCode).toBe(ExitCode.Usage);
    expect(stderr).toContain(complaint);
    expect(existsSync(out)).toBe(false);
  });
});
