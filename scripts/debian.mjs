// Debian programs that tests, demo and firmware build use, without installing them: fetched with apt, unpacked below
// .cache/debian, run from there. Node built-ins only.
//
// What always holds: no root is needed and nothing of the system changes (apt gets state, lists and archives of its
// own; nothing is configured, no service starts, no hook of the system's apt runs). A group's folder appears by one
// rename, after each of its programs was started once, so it is whole or absent. apt checks signatures and hashes with
// the system's own sources and keyrings; what the system has installed already is not fetched again.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { step } from './lib/progress.mjs';
import { cacheDir, isMain, readText, root } from './lib/project.mjs';
import { RunError, run } from './lib/run.mjs';

/**
 * @typedef {{ version: string[], expect: RegExp }} Tool the arguments that make it print what it is, and what a suitable
 *   one prints
 * @typedef {{ what: string, fetches: string[][], tools: Record<string, Tool>, leaveOut?: string[] }} Group fetches are
 *   resolved one by one, as packages in different ones may conflict; leaveOut are patterns of files not to unpack
 * @typedef {{ ok: true, path: string, args: string[], env: Record<string, string>, origin: 'system' | 'unpacked' }}
 *   FoundTool run `path` with `args` before your own, and `env` added to the environment
 * @typedef {{ ok: false, reason: string }} MissingTool
 * @typedef {{ recipe: string, libraryPath: string[], packages: string[] }} Stamp
 */

const leaveOutAlways = ['./usr/share/doc/*', './usr/share/man/*', './usr/share/locale/*', './usr/share/info/*'];

/** This machine as compilers call it. */
const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

const binutil = { version: ['--version'], expect: /GNU/ };

/** @type {Record<'servers' | 'firmware' | 'emulator' | 'riscv' | 'token' | 'flash' | 'gdb' | 'make' | 'fuzz', Group>} */
export const groups = {
  servers: {
    what: 'time servers and MQTT broker (chrony, ntpsec, mosquitto)',
    fetches: [['chrony'], ['ntpsec'], ['mosquitto', 'mosquitto-clients'], ['iproute2']],
    tools: {
      chronyd: { version: ['--version'], expect: /version [4-9].*\+NTS/ },
      chronyc: { version: ['--version'], expect: /version [4-9]/ },
      ntpd: { version: ['--version'], expect: /ntpsec/i },
      mosquitto: { version: ['-h'], expect: /mosquitto version 2\./ },
      mosquitto_passwd: { version: ['--help'], expect: /sha512-pbkdf2/ },
      mosquitto_pub: { version: ['--help'], expect: /version 2\./ },
      mosquitto_sub: { version: ['--help'], expect: /version 2\./ },
      ip: { version: ['-V'], expect: /iproute2/ },
    },
  },
  firmware: {
    what: 'ARM compiler (gcc-arm-none-eabi)',
    fetches: [['gcc-arm-none-eabi']],
    // Libraries of the application and real-time profiles, C++ and LTO tools: two thirds of 800 MB.
    leaveOut: [
      './usr/lib/*/arm/v5te/*',
      './usr/lib/*/thumb/v7/*',
      './usr/lib/*/thumb/v7+fp/*',
      './usr/lib/*/thumb/v7-a*',
      './usr/lib/*/thumb/v7-r*',
      './usr/lib/*/thumb/v7ve*',
      './usr/lib/*/thumb/v8-a*',
      './usr/lib/gcc/*/plugin/*',
      './usr/lib/gcc/*/cc1plus',
      './usr/bin/*-lto-dump',
      './usr/bin/*g++*',
    ],
    tools: {
      'arm-none-eabi-gcc': { version: ['--version'], expect: /arm-none-eabi-gcc/ },
      'arm-none-eabi-objcopy': binutil,
      'arm-none-eabi-objdump': binutil,
      'arm-none-eabi-size': binutil,
      'arm-none-eabi-nm': binutil,
      'arm-none-eabi-ar': binutil,
    },
  },
  emulator: {
    what: 'emulator (qemu-system-arm)',
    fetches: [['qemu-system-arm']],
    tools: {
      'qemu-system-arm': { version: ['--version'], expect: /version ([7-9]|[1-9]\d)\./ },
    },
  },
  riscv: {
    what: 'compiler and emulator for RISC-V (gcc-riscv64-unknown-elf, qemu-system-riscv32)',
    fetches: [['gcc-riscv64-unknown-elf'], ['qemu-system-misc']],
    // Libraries of other cores than rv32imac, C++ and LTO tools, emulators of other processors: five sixths of 500 MB.
    leaveOut: [
      './usr/lib/gcc/*/plugin/*',
      './usr/lib/gcc/*/cc1plus',
      './usr/lib/gcc/*/lto1',
      './usr/lib/gcc/*/rv64*',
      './usr/lib/gcc/*/rv32e*',
      './usr/lib/gcc/*/rv32*f*',
      './usr/bin/*-lto-dump',
      './usr/bin/*g++*',
      './usr/bin/qemu-system-[!r]*',
      './usr/bin/qemu-system-riscv64',
      './usr/bin/qemu-system-rx',
      './usr/bin/qemu-storage-daemon',
      './usr/lib/qemu/*',
      './usr/share/qemu/*',
    ],
    tools: {
      'riscv64-unknown-elf-gcc': { version: ['--version'], expect: /riscv64-unknown-elf-gcc/ },
      'riscv64-unknown-elf-objcopy': binutil,
      'riscv64-unknown-elf-objdump': binutil,
      'riscv64-unknown-elf-size': binutil,
      'riscv64-unknown-elf-nm': binutil,
      'qemu-system-riscv32': { version: ['--version'], expect: /version ([7-9]|[1-9]\d)\./ },
    },
  },
  token: {
    what: 'token for keys, in software (softhsm2)',
    fetches: [['softhsm2']],
    tools: { 'softhsm2-util': { version: ['--version'], expect: /^2\./ } },
  },
  flash: {
    what: 'programs that flash boards (openocd, stm32flash, dfu-util, stlink-tools), and socat to test them',
    fetches: [['openocd'], ['stm32flash'], ['dfu-util'], ['stlink-tools'], ['socat']],
    tools: {
      openocd: { version: ['--version'], expect: /Open On-Chip Debugger/ },
      stm32flash: { version: ['-h'], expect: /Usage: .*stm32flash/ },
      'dfu-util': { version: ['--version'], expect: /dfu-util \d/ },
      'st-flash': { version: ['--version'], expect: /v\d/ },
      socat: { version: ['-V'], expect: /socat version/ },
    },
  },
  gdb: {
    what: 'debugger that loads firmware over probes and into emulators (gdb-multiarch)',
    fetches: [['gdb-multiarch']],
    tools: { 'gdb-multiarch': { version: ['-nx', '--version'], expect: /GNU gdb/ } },
  },
  make: {
    what: 'make, for what metertime export writes',
    fetches: [['make']],
    tools: { make: { version: ['--version'], expect: /GNU Make/ } },
  },
  fuzz: {
    what: 'compiler with fuzzer and sanitizers (clang)',
    fetches: [['clang-14', 'libclang-rt-14-dev']],
    tools: {
      // Its run-time libraries are in a package of their own: a compiler without them prints the bare name.
      'clang-14': { version: [`-print-file-name=libclang_rt.fuzzer-${machine}.a`], expect: /\/libclang_rt\.fuzzer/ },
    },
  },
};

/** @typedef {keyof typeof groups} GroupName */

const debianDir = join(cacheDir, 'debian');

/** @param {GroupName} name */
const groupDir = (name) => join(debianDir, name);

/** @type {Map<string, FoundTool | MissingTool>} */
const found = new Map();

/**
 * Finds a program: the system's own where it is suitable, else the unpacked one.
 * @param {string} name such as `chronyd` or `arm-none-eabi-gcc`
 * @returns {FoundTool | MissingTool}
 */
export function debianTool(name) {
  const known = found.get(name);
  if (known?.ok) return known;
  const entry = /** @type {[GroupName, Group][]} */ (Object.entries(groups)).find(([, group]) => name in group.tools);
  if (entry === undefined) throw new RangeError(`no group of scripts/debian.mjs has a program named ${name}`);
  const [groupName, group] = entry;
  const tool = /** @type {Tool} */ (group.tools[name]);
  const result = systemTool(name, tool) ??
    unpackedTool(name, groupName, groupDir(groupName)) ?? {
      ok: /** @type {const} */ (false),
      reason: `${name} is not there; to set it up, run: node scripts/debian.mjs ${groupName}`,
    };
  found.set(name, result);
  return result;
}

/**
 * @param {string} name
 * @param {Tool} tool
 * @returns {FoundTool | undefined}
 */
function systemTool(name, tool) {
  for (const folder of [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin']) {
    const path = join(folder, name);
    if (folder === '' || !isExecutable(path)) continue;
    const candidate = {
      ok: /** @type {const} */ (true),
      path,
      args: [],
      env: {},
      origin: /** @type {const} */ ('system'),
    };
    if (tool.expect.test(versionOf(candidate, tool))) return candidate;
  }
  return undefined;
}

/**
 * @param {string} name
 * @param {GroupName} groupName
 * @param {string} folder
 * @returns {FoundTool | undefined}
 */
function unpackedTool(name, groupName, folder) {
  const stamp = readStamp(groupName, folder);
  if (stamp === undefined) return undefined;
  const path = ['usr/bin', 'usr/sbin', 'bin', 'sbin'].map((below) => join(folder, below, name)).find(isExecutable);
  if (path === undefined) return undefined;
  const libraryPath = stamp.libraryPath.map((below) => join(folder, below));
  if (process.env.LD_LIBRARY_PATH) libraryPath.push(process.env.LD_LIBRARY_PATH);
  return {
    ok: true,
    path,
    args: pathArguments(name, folder),
    env: {
      ...(libraryPath.length > 0 ? { LD_LIBRARY_PATH: libraryPath.join(':') } : {}),
      ...pathVariables(name, folder),
    },
    origin: 'unpacked',
  };
}

/**
 * Arguments that replace paths compiled into a program.
 * @param {string} name
 * @param {string} folder
 */
function pathArguments(name, folder) {
  if (name.startsWith('qemu-system-')) return ['-L', join(folder, 'usr/share/qemu')];
  if (name === 'openocd') return ['-s', join(folder, 'usr/share/openocd/scripts')];
  return [];
}

/**
 * Variables that do the same.
 * @param {string} name
 * @param {string} folder
 * @returns {Record<string, string>}
 */
function pathVariables(name, folder) {
  // The debugger does not start without Python's own modules.
  const python = name === 'gdb-multiarch' && existsSync(join(folder, 'usr/lib/python3.11'));
  return python ? { PYTHONHOME: join(folder, 'usr') } : {};
}

/**
 * What a program prints about itself, or its complaint.
 * @param {FoundTool} candidate
 * @param {Tool} tool
 * @returns {string}
 */
function versionOf(candidate, tool) {
  const { stdout, stderr, error } = spawnSync(candidate.path, [...candidate.args, ...tool.version], {
    encoding: 'utf8',
    env: { ...process.env, ...candidate.env },
    timeout: 10_000,
  });
  return error ? error.message : `${stdout}${stderr}`;
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {GroupName} groupName
 * @param {string} folder
 * @returns {Stamp | undefined} undefined when the folder is absent or of another recipe
 */
function readStamp(groupName, folder) {
  const text = readText(join(folder, 'stamp.json'));
  if (text === undefined) return undefined;
  const stamp = /** @type {Stamp} */ (JSON.parse(text));
  return stamp.recipe === recipeHash(groupName) ? stamp : undefined;
}

/** @param {GroupName} groupName */
function recipeHash(groupName) {
  const { fetches, tools, leaveOut } = groups[groupName];
  return createHash('sha256')
    .update(JSON.stringify([process.arch, fetches, Object.keys(tools), leaveOut]))
    .digest('hex');
}

/**
 * Makes the programs of some groups available, unless they are.
 * @param {GroupName[]} names
 * @returns {Promise<{ group: GroupName, reason: string }[]>} the groups that could not be set up, with one sentence each
 */
export async function setUpDebian(names) {
  const wanted = names.filter((name) => Object.keys(groups[name].tools).some((tool) => !debianTool(tool).ok));
  if (wanted.length === 0) return [];
  const reason = whyAptCannot();
  if (reason !== undefined) return wanted.map((group) => ({ group, reason }));
  // Also when the process is told to exit in the middle.
  process.once('exit', removeUnfinished);
  try {
    await step('Debian package lists', updateLists);
    const failures = [];
    for (const group of wanted) {
      try {
        await step(groups[group].what, (note) => setUpGroup(group, note));
      } catch (error) {
        failures.push({ group, reason: `${groups[group].what} cannot be set up: ${messageOf(error)}` });
      }
    }
    return failures;
  } catch (error) {
    return wanted.map((group) => ({ group, reason: `Debian's package lists cannot be fetched: ${messageOf(error)}` }));
  } finally {
    process.off('exit', removeUnfinished);
    removeUnfinished();
  }
}

/** Removes what this process has fetched and not finished unpacking. */
function removeUnfinished() {
  rmSync(aptDir, { recursive: true, force: true });
  for (const name of Object.keys(groups)) rmSync(partialDir(name), { recursive: true, force: true });
}

/** @param {string} name of a group */
function partialDir(name) {
  return join(debianDir, `${name}.${process.pid}.partial`);
}

/** @returns {string | undefined} */
function whyAptCannot() {
  const missing = ['apt-get', 'dpkg-deb', 'tar'].find(
    (name) => !(process.env.PATH ?? '').split(':').some((folder) => isExecutable(join(folder, name))),
  );
  if (missing === undefined) return undefined;
  return `${missing} is not on this machine: install the programs by hand, or use Debian 12 or newer`;
}

/** @param {unknown} error */
function messageOf(error) {
  if (!(error instanceof RunError)) return error instanceof Error ? error.message : String(error);
  const complaints = error.output.split('\n').filter((line) => line.startsWith('E: '));
  if (complaints.length === 0) return error.message;
  return `${complaints.join(' ')}${unreachable === undefined ? '' : ` (${unreachable})`}`;
}

// Lists and archives of this run only: two set-ups side by side do not disturb each other.
const aptDir = join(debianDir, `apt.${process.pid}`);
const configPath = join(aptDir, 'apt.conf');

/** @type {string | undefined} */
let unreachable;

/** @param {(note: string) => void} note */
async function updateLists(note) {
  for (const folder of ['lists/partial', 'archives/partial']) mkdirSync(join(aptDir, folder), { recursive: true });
  const quote = (/** @type {string} */ path) => JSON.stringify(path);
  // The system's own options (proxy, sources, keyrings) stay in force; only places and hooks are replaced.
  writeFileSync(
    configPath,
    `Dir::State ${quote(aptDir)};
Dir::State::lists ${quote(join(aptDir, 'lists'))};
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache ${quote(aptDir)};
Dir::Cache::archives ${quote(join(aptDir, 'archives'))};
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Log ${quote(aptDir)};
Debug::NoLocking "1";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::Contents-deb;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
`,
  );
  await run('apt-get', ['-c', configPath, '-q', 'update'], {
    env: plainLanguage(),
    onLine: (line) => {
      const size = /^Fetched (.*)/.exec(line);
      if (size) note(size[1] ?? '');
      // One source of several may be out of reach and not be needed; if it was, this is the reason.
      if (line.startsWith('W: Failed to fetch')) unreachable ??= line.slice(3);
    },
  });
}

function plainLanguage() {
  return { ...process.env, LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' };
}

/**
 * @param {GroupName} groupName
 * @param {(note: string) => void} note
 */
async function setUpGroup(groupName, note) {
  const group = groups[groupName];
  const archives = new Set();
  for (const packages of group.fetches) {
    const install = ['-c', configPath, '-q', '-y', '--no-install-recommends'];
    // Packages that would take another one's place (chrony and ntpsec) are only fetched, never installed.
    const only = ['--download-only', '--reinstall', 'install', ...packages];
    const plan = await run('apt-get', [...install, '--print-uris', ...only], { env: plainLanguage() });
    const names = [...plan.matchAll(/^'[^']+' (\S+\.deb) \d+/gm)].map((match) => String(match[1]));
    note(`fetching ${packages.join(', ')} (${names.length} packages)`);
    await run('apt-get', [...install, ...only], { env: plainLanguage() });
    for (const name of names) archives.add(name);
  }
  const partial = partialDir(groupName);
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  try {
    for (const name of archives) {
      note(`unpacking ${name.split('_')[0]}`);
      await unpack(join(aptDir, 'archives', name), partial, group.leaveOut ?? []);
    }
    /** @type {Stamp} */
    const stamp = {
      recipe: recipeHash(groupName),
      libraryPath: libraryFolders(partial),
      packages: [...archives].sort(),
    };
    writeFileSync(join(partial, 'stamp.json'), `${JSON.stringify(stamp, undefined, 2)}\n`);
    for (const [name, tool] of Object.entries(group.tools)) {
      const candidate = systemTool(name, tool) ?? unpackedTool(name, groupName, partial);
      if (candidate === undefined) throw new Error(`no package brought ${name}`);
      const version = versionOf(candidate, tool);
      if (!tool.expect.test(version)) throw new Error(`${name} was unpacked but does not run: ${version.trim()}`);
    }
    rmSync(groupDir(groupName), { recursive: true, force: true });
    renameSync(partial, groupDir(groupName));
  } finally {
    rmSync(partial, { recursive: true, force: true });
    // apt's plan leaves out what lies in its archives, so the next group must find none.
    for (const name of archives) rmSync(join(aptDir, 'archives', name), { force: true });
  }
  note(`${archives.size} packages`);
}

/**
 * @param {string} archive
 * @param {string} folder
 * @param {string[]} leaveOut
 */
async function unpack(archive, folder, leaveOut) {
  const excludes = [...leaveOutAlways, ...leaveOut].map((pattern) => `--exclude=${pattern}`);
  // Owners are the caller's: without root they cannot be another's.
  const script =
    'archive=$0 folder=$1; shift; dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$folder" --no-same-owner "$@"';
  await run('bash', ['-o', 'pipefail', '-c', script, archive, folder, ...excludes]);
}

/**
 * Folders with shared libraries, relative to a group's folder: the architecture's and those right below it.
 * @param {string} folder
 * @returns {string[]}
 */
function libraryFolders(folder) {
  const result = [];
  for (const base of ['lib', 'usr/lib']) {
    for (const triplet of subfolders(join(folder, base)).filter((name) => name.includes('-linux-'))) {
      const below = join(base, triplet);
      for (const candidate of [below, ...subfolders(join(folder, below)).map((name) => join(below, name))]) {
        if (readdirSync(join(folder, candidate)).some((name) => /\.so(\.\d|$)/.test(name))) result.push(candidate);
      }
    }
  }
  return result;
}

/** @param {string} folder */
function subfolders(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch {
    return [];
  }
}

if (isMain(import.meta.url)) {
  const names = /** @type {GroupName[]} */ (process.argv.length > 2 ? process.argv.slice(2) : Object.keys(groups));
  const unknown = names.find((name) => !(name in groups));
  if (unknown !== undefined) {
    console.error(`no group named ${unknown}; there are: ${Object.keys(groups).join(', ')}`);
    process.exitCode = 2;
  } else {
    const failures = await setUpDebian(names);
    for (const { reason } of failures) console.error(reason);
    for (const name of names) {
      for (const toolName of Object.keys(groups[name].tools)) {
        const tool = debianTool(toolName);
        console.log(
          `${toolName.padEnd(24)}${tool.ok ? `${tool.origin.padEnd(10)}${tool.path.replace(`${root}/`, '')}` : tool.reason}`,
        );
      }
    }
    process.exitCode = failures.length === 0 ? 0 : 1;
  }
}
