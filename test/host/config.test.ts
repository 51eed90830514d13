// Settings: what is read, what is refused and how it is said, and that secrets stay unseen.
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { annotatedSettings, meterSettingsReference, settingsReference } from '../../host/config/reference.ts';
import {
  checkSettings,
  defaultDataDirectory,
  formatProblem,
  loadSettings,
  type Problem,
  printSettings,
  SettingsError,
} from '../../host/config/settings.ts';
import { suggest } from '../../host/config/suggest.ts';
import { keysFileText, meterKeys } from '../../host/provision/meter-keys.ts';
import { type CertificateOptions, clientAuth, issue, makeRoot } from './net/certificates.ts';

const makeClient = (more: Partial<CertificateOptions> = {}) => issue({ name: 'g', extKeyUsage: [clientAuth], ...more });

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-config-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

const said = (text: string) => checkSettings(text, 'gw.yaml').map(formatProblem);

describe('reading', () => {
  test('fills in defaults and resolves paths from the file', () => {
    write('pw', 'hunter2\n');
    write('ca.pem', makeRoot().pem);
    const settings = loadSettings(
      write(
        'full.yaml',
        `name: g1
links: [serial:/dev/ttyUSB0]
trust: {files: [ca.pem]}
mqtt:
  url: mqtts://broker.example
  username: g1
  passwordFile: pw
dataDirectory: data
`,
      ),
    );
    expect(settings).toMatchObject({
      name: 'g1',
      links: ['serial:/dev/ttyUSB0'],
      trust: { system: true, files: [join(folder, 'ca.pem')] },
      mqtt: {
        passwordFile: join(folder, 'pw'),
        clientId: 'metertime-g1',
        topicPrefix: 'metertime',
        keepAliveSeconds: 30,
      },
      outbox: { directory: join(folder, 'data', 'outbox'), maxMebibytes: 64 },
      limits: { connections: 4 },
      log: { level: 'info', format: 'text' },
      dataDirectory: join(folder, 'data'),
    });
  });

  test('takes a file with nothing but a name', () => {
    expect(loadSettings(write('least.yaml', 'name: g1')).mqtt).toBeUndefined();
  });

  test('says that a file is not there', () => {
    expect(() => loadSettings(join(folder, 'none.yaml'))).toThrow(
      expect.objectContaining({ code: 'settings-missing', message: expect.stringContaining('it does not exist') }),
    );
  });

  test('the data directory is that of systemd, of root or of the user', () => {
    expect(defaultDataDirectory({ STATE_DIRECTORY: '/s/metertime:/s/other' }, 0)).toBe('/s/metertime');
    expect(defaultDataDirectory({}, 0)).toBe('/var/lib/metertime');
    expect(defaultDataDirectory({ XDG_STATE_HOME: '/x' }, 1000)).toBe('/x/metertime');
    expect(defaultDataDirectory({ XDG_STATE_HOME: 'relative' }, 1000)).toBe(
      join(homedir(), '.local', 'state', 'metertime'),
    );
  });
});

describe('errors', () => {
  test('all at once, in the order of the file, with line, column, value and what was expected', () => {
    expect(
      said(`name: gateway/1
lnks:
  - serial:/dev/ttyUSB0
mqtt:
  url: http://broker.example
  keepAliveSeconds: 2
  usrname: me
  certFile: client.pem
log: {level: warning}
outbox:
  maxMebibytes: many
limits: [1]
`),
    ).toEqual([
      'gw.yaml:1:7: name is "gateway/1"; expected letters, digits, dots, dashes and underscores only',
      'gw.yaml:2:1: unknown setting "lnks"; did you mean "links"?',
      'gw.yaml:5:8: mqtt.url is "http://broker.example"; expected a URL that begins with mqtt, mqtts, ws or wss',
      'gw.yaml:6:21: mqtt.keepAliveSeconds is 2; expected 5 or more',
      'gw.yaml:7:3: unknown setting "mqtt.usrname"; did you mean "username"?',
      'gw.yaml:8:13: mqtt.certFile is "client.pem"; expected keyFile beside it',
      'gw.yaml:8:13: mqtt.certFile is "client.pem"; expected a url that begins with mqtts or wss beside it',
      'gw.yaml:9:14: log.level is "warning"; expected one of: error, warn, info, debug; did you mean "warn"?',
      'gw.yaml:11:17: outbox.maxMebibytes is "many"; expected a whole number',
      'gw.yaml:12:9: limits is a list; expected settings of its own, indented below it',
    ]);
  });

  test.each<[string, string]>([
    ['', 'gw.yaml:1:1: name is missing; expected text (in quotes if it looks like a number), such as name: gateway-1'],
    ['just text', 'gw.yaml:1:1: the file is "just text"; expected settings of its own, indented below it'],
    ['name: 12', 'gw.yaml:1:7: name is 12; expected text (in quotes if it looks like a number)'],
    ['name: g\nmqtt:', 'gw.yaml:2:6: mqtt is empty; expected settings of its own, indented below it'],
    [
      'name: g\nmqtt: {topicPrefix: a}',
      'gw.yaml:2:1: mqtt.url is missing; expected text (in quotes if it looks like a number), such as url: mqtts://broker.example:8883',
    ],
    ['name: g\nmqtt: {url: mqtt://h, topicPrefix: a/#}', 'gw.yaml:2:36: mqtt.topicPrefix is "a/#"; expected levels'],
    ['name: g\nmqtt: {url: mqtt://h, topicPrefix: a//b}', 'gw.yaml:2:36: mqtt.topicPrefix is "a//b"; expected levels'],
    ['name: g\nmqtt: {url: "mqtt://h:0"}', 'gw.yaml:2:13: mqtt.url is "mqtt://h:0"; expected a port from 1 to 65535'],
    ['name: g\ntrust: {system: false}', 'gw.yaml:2:1: trust.files is missing; expected at least one file'],
    ['name: g\nname: h', 'gw.yaml:2:1: expected each setting once; this one stands above, too'],
    ['name: "g', 'gw.yaml:1:9: expected a character that is missing here'],
    ['name: g\n\tlinks: []', 'gw.yaml:2:1: expected spaces, came a tab'],
    [
      'name: g\nlinks: [serial:/dev/a, "tcp:x", serial:/dev/a]',
      'gw.yaml:2:24: links[2] is "tcp:x"; expected a host and a port from 1 to 65535, such as tcp://192.0.2.7:4059',
    ],
    [
      'name: g\nlinks: ["serial:/dev/x?baud=150"]',
      'gw.yaml:2:9: links[1] is "serial:/dev/x?baud=150"; expected a baud rate from 1200 to 4000000',
    ],
    [
      'name: g\nlinks: ["unix:/tmp/a?b=c"]',
      'gw.yaml:2:9: links[1] is "unix:/tmp/a?b=c"; expected a path without a ?: unix has no further settings',
    ],
    [
      'name: g\nlinks: [unix-listen:m1.sock]',
      'gw.yaml:2:9: links[1] is "unix-listen:m1.sock"; expected a whole path after "unix-listen:"',
    ],
    [
      'name: g\nlinks: [serial:/dev/a, serial:/dev/a]',
      'gw.yaml:2:24: links[2] is "serial:/dev/a"; expected each link once; it is link 1, too',
    ],
    [
      'name: g\ntrust: {files: [/none.pem]}',
      'gw.yaml:2:17: trust.files[1] is "/none.pem"; expected a file that can be read',
    ],
  ])('%j', (text, first) => {
    expect(said(text)[0]).toContain(first);
  });

  test('loadSettings tells all of them and is an error with a code', () => {
    const path = write('bad.yaml', 'nmae: g\nlog: 3\n');
    try {
      loadSettings(path);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(SettingsError);
      const { code, message, problems } = error as SettingsError;
      expect(code).toBe('settings-invalid');
      expect(problems).toHaveLength(3);
      expect(message.split('\n')).toHaveLength(3);
      expect(message).toContain(`${path}:1:1: unknown setting "nmae"; did you mean "name"?`);
    }
  });
});

describe('files that the settings name', () => {
  const client = makeClient();
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  // Signed with SHA-1, which TLS takes from nobody but an authority at the top.
  const sha1 = makeClient({ issuer: makeRoot('old', { kind: 'rsa-sha1' }) });
  beforeAll(() => {
    mkdirSync(join(folder, 'folder'), { mode: 0o755 });
    write('empty', '');
    write('blank', '\nsecond line\n');
    write('text.pem', 'no certificate\n');
    write('broken.pem', broken);
    write('second-broken.pem', client.pem + broken);
    write('root.pem', makeRoot().pem);
    write('client.pem', client.pem);
    write('client.key', client.keyPem);
    write('other.key', makeClient().keyPem);
    write('both.pem', client.keyPem + client.pem);
    write(
      'locked.key',
      client.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }) as string,
    );
    write('broken.key', client.keyPem.replace(/[A-Za-z0-9+/]{64}/, 'A'.repeat(64)));
    write('sha1.pem', sha1.pem);
    write('sha1.key', sha1.keyPem);
    write('pw', 'hunter2\n');
  });
  const folderIs = 'expected a file that can be read (expected a regular file, came a folder)';
  const check = (text: string) => checkSettings(text, join(folder, 'named.yaml')).map(formatProblem);
  const pair = (cert: string, key: string) =>
    `name: g\nmqtt:\n  url: mqtts://h\n  certFile: ${cert}\n  keyFile: ${key}\n`;
  const one = (group: string) => `name: g\n${group}`;

  test.each([
    [one('trust: {files: [root.pem, client.pem]}')],
    [one('mqtt: {url: mqtts://h, caFile: root.pem}')],
    [one('mqtt: {url: mqtts://h, username: u, passwordFile: pw}')],
    [pair('client.pem', 'client.key')],
    [pair('both.pem', 'both.pem')],
  ])('taken: %j', (text) => expect(check(text)).toEqual([]));

  test.each<[string, string, string]>([
    [one('trust: {files: [root.pem, text.pem]}'), '2:27: trust.files[2] is "text.pem"', 'expected certificates in PEM'],
    [one('trust: {files: [empty]}'), '2:17: trust.files[1] is "empty"', 'expected certificates in PEM'],
    [one('trust: {files: [client.key]}'), '2:17: trust.files[1]', 'expected certificates in PEM'],
    [one('trust: {files: [broken.pem]}'), '2:17: trust.files[1]', 'certificate 1 cannot be read'],
    [one('trust: {files: [folder]}'), '2:17: trust.files[1] is "folder"', folderIs],
    [one('trust: {files: [/dev/null]}'), '2:17: trust.files[1]', 'came a device'],
    [one('mqtt: {url: mqtts://h, caFile: text.pem}'), '2:32: mqtt.caFile is "text.pem"', 'found none'],
    [one('mqtt: {url: mqtts://h, caFile: client.key}'), '2:32: mqtt.caFile', 'found a private key'],
    [
      one('mqtt: {url: mqtts://h, caFile: second-broken.pem}'),
      '2:32: mqtt.caFile',
      'certificate 2 in it cannot be read',
    ],
    [one('mqtt: {url: mqtts://h, caFile: folder}'), '2:32: mqtt.caFile is "folder"', folderIs],
    [one('mqtt: {url: mqtts://h, username: u, passwordFile: folder}'), '2:51: mqtt.passwordFile is "folder"', folderIs],
    [
      one('mqtt: {url: mqtts://h, username: u, passwordFile: empty}'),
      '2:51: mqtt.passwordFile',
      'expected a password in its first line, found none',
    ],
    [
      one('mqtt: {url: mqtts://h, username: u, passwordFile: blank}'),
      '2:51: mqtt.passwordFile',
      'expected a password in its first line, found none',
    ],
    [
      pair('client.pem', 'other.key'),
      '5:12: mqtt.keyFile is "other.key"',
      'expected the key of the first certificate in mqtt.certFile, found another one',
    ],
    [pair('client.pem', 'locked.key'), '5:12: mqtt.keyFile', 'expected a private key without a passphrase'],
    [pair('client.pem', 'broken.key'), '5:12: mqtt.keyFile', 'the private key in it cannot be read'],
    [
      pair('client.pem', 'empty'),
      '5:12: mqtt.keyFile',
      'expected a private key in PEM (-----BEGIN PRIVATE KEY-----), found none',
    ],
    [pair('sha1.pem', 'sha1.key'), '5:12: mqtt.keyFile', 'that TLS takes'],
    [pair('folder', 'client.key'), '4:13: mqtt.certFile', folderIs],
  ])('refused, and nothing else is said: %j', (text, place, expected) => {
    const problems = check(text);
    expect(problems).toEqual([expect.stringContaining(`named.yaml:${place}`)]);
    expect(problems[0]).toContain(expected);
    expect(problems[0]).not.toContain('second line');
    const file = write('named.yaml', text);
    expect(() => loadSettings(file)).toThrow(expect.objectContaining({ code: 'settings-invalid' }));
  });

  test('certificate and key the wrong way round: both are told', () => {
    expect(check(pair('client.key', 'client.pem'))).toEqual([
      expect.stringMatching(
        /:4:13: mqtt\.certFile is "client\.key"; .* found a private key; are certFile and keyFile swapped\?$/,
      ),
      expect.stringMatching(
        /:5:12: mqtt\.keyFile is "client\.pem"; .* found a certificate; are certFile and keyFile swapped\?$/,
      ),
    ]);
  });
});

describe('what signs transactions', () => {
  const pem = (curve: string) =>
    generateKeyPairSync('ec', { namedCurve: curve }).privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
  const keysText = (meter: string) => keysFileText(meterKeys(new Uint8Array(16).fill(9), meter));
  beforeAll(() => {
    write('ocmf.pem', pem('prime256v1'));
    write('p384.pem', pem('secp384r1'));
    write('open.pem', pem('prime256v1'), 0o644);
    write('m1.json', keysText('m1'));
    write('m1-again.json', keysText('m1'));
    write('m2.json', keysText('m2'));
    write('open.json', keysText('m3'), 0o604);
    write('no.json', '{"meter":"m1"}');
    write('pin', '1234\n');
    write('open-pin', '1234\n', 0o644);
    write('blank-pin', '\n1234\n');
    write('module.so', '');
  });
  const settings = (ocmf: string) => `name: g\nmqtt: {url: mqtt://h}\nocmf:\n  gatewaySerial: gw-1\n${ocmf}`;
  const meters = '  meters: [{keysFile: m1.json}]\n';
  const check = (ocmf: string) => checkSettings(settings(ocmf), join(folder, 'ocmf.yaml')).map(formatProblem);

  test('is read, with paths from the file', () => {
    const text = settings(
      '  keyFile: ocmf.pem\n  meters:\n    - {keysFile: m1.json, evse: DE*ABC*E1, user: "ISO14443:1F2D", register: "1-0:1.8.0"}\n    - {keysFile: m2.json}\n',
    );
    expect(loadSettings(write('ocmf.yaml', text)).ocmf).toEqual({
      keyFile: join(folder, 'ocmf.pem'),
      gateway: 'metertime',
      gatewaySerial: 'gw-1',
      meters: [
        { keysFile: join(folder, 'm1.json'), evse: 'DE*ABC*E1', user: 'ISO14443:1F2D', register: '1-0:1.8.0' },
        { keysFile: join(folder, 'm2.json') },
      ],
    });
    expect(check(`  tokenModule: module.so\n  tokenKey: ocmf\n  tokenPinFile: pin\n${meters}`)).toEqual([]);
  });

  test.each<[string, string]>([
    [meters, 'ocmf.keyFile is missing; expected it, or tokenModule'],
    [
      `  keyFile: ocmf.pem\n  tokenModule: module.so\n  tokenKey: k\n${meters}`,
      'expected either keyFile or tokenModule',
    ],
    [`  tokenModule: module.so\n${meters}`, 'expected tokenKey beside it'],
    [`  keyFile: ocmf.pem\n  tokenPinFile: pin\n${meters}`, 'expected it beside what else is said of the token'],
    ['  keyFile: ocmf.pem\n  meters: []\n', 'ocmf.meters is a list; expected 1 or more'],
    [`  keyFile: p384.pem\n${meters}`, 'expected an EC key on secp256r1, came one on secp384r1'],
    [`  keyFile: m1.json\n${meters}`, 'expected a private key in PEM without a passphrase'],
    [`  keyFile: none.pem\n${meters}`, 'expected a file that can be read (it does not exist)'],
    [`  keyFile: open.pem\n${meters}`, 'open.pem holds a secret and everyone can read it; run: chmod o-rwx'],
    [
      `  tokenModule: module.so\n  tokenKey: k\n  tokenPinFile: open-pin\n${meters}`,
      'open-pin holds a secret and everyone can read it',
    ],
    [
      `  tokenModule: module.so\n  tokenKey: k\n  tokenPinFile: blank-pin\n${meters}`,
      'ocmf.tokenPinFile is "blank-pin"; expected a PIN in its first line',
    ],
    [`  tokenModule: nowhere.so\n  tokenKey: k\n${meters}`, 'ocmf.tokenModule is "nowhere.so"; expected a file'],
    ['  keyFile: ocmf.pem\n  meters: [{keysFile: open.json}]\n', 'open.json holds a secret and everyone can read it'],
    [
      '  keyFile: ocmf.pem\n  meters: [{keysFile: no.json}]\n',
      'ocmf.meters[1].keysFile is "no.json"; expected JSON with',
    ],
    [
      '  keyFile: ocmf.pem\n  meters: [{keysFile: m1.json}, {keysFile: m1-again.json}]\n',
      'ocmf.meters[2].keysFile has the keys of m1; expected each meter once, and ocmf.meters[1].keysFile has them, too',
    ],
    [
      '  keyFile: ocmf.pem\n  meters: [{keysFile: m1.json, register: energy}]\n',
      'ocmf.meters[1].register is "energy"; expected an OBIS code',
    ],
    [
      '  keyFile: ocmf.pem\n  meters: [{keysFile: m1.json, user: me}]\n',
      'ocmf.meters[1].user is "me"; expected TYPE:DATA',
    ],
    [`  keyFile: ocmf.pem\n  pin: 1234\n${meters}`, 'unknown setting "ocmf.pin"'],
  ])('is refused: %j', (ocmf, said) => {
    const problems = check(ocmf);
    expect(problems).toEqual([expect.stringContaining(said)]);
    expect(problems[0]).not.toMatch(/warning|BEGIN|1234/);
    expect(() => loadSettings(write('ocmf.yaml', settings(ocmf)))).toThrow(
      expect.objectContaining({ code: 'settings-invalid' }),
    );
  });

  test('wants a broker', () => {
    expect(said('name: g\nocmf: {gatewaySerial: g, keyFile: a, meters: [{keysFile: m}]}')[0]).toContain(
      'expected mqtt beside it',
    );
  });
});

describe('secrets', () => {
  const secret = 'hunter2-zebra';

  test.each([
    `name: g\nmqtt: {url: mqtt://h, username: u, password: ${secret}, pasword: ${secret}}`,
    `name: g\nmqtt:\n  url: mqtt://h\n  password: ${secret}`,
    `name: g\nmqtt: {url: mqtt://h, username: u, password: [${secret}]}`,
    `name: g\nmqtt: {url: "mqtt://user:${secret}@h"}`,
    `name: g\nmqtt: mqtt://user:${secret}@h`,
    `name: g\nlinks: ["tcp://user:${secret}@h:1"]`,
    `name: g\nmqtt:\n  url: mqtt://h\n  username: u\n  password: *${secret}`,
    `name: g\nmqtt:\n  url: mqtt://h\n  username: u\n  password: !${secret} x`,
    `name: g\nmqtt:\n  url: mqtt://h\n  username: u\n  password: "${secret}\\q"`,
    `name: g\nmqtt:\n  url: mqtt://h\n  username: u\n  password: @${secret}`,
    `name: g\nmqtt:\n  url: mqtt://h\n  username: u\n  password: a: ${secret}`,
    `name: g\nmqtt:\n  url: mqtt://h\n  username: u\n  password: {${secret}`,
    `name: g\nmqtt:\n  url: mqtt://h\n  username: u\n  password: "${secret}`,
    `name: g\nmqtt:\n  url: mqtt://h\n  username: u\n  password: %${secret}\n    ${secret}:`,
  ])('appear in no error of %j', (text) => {
    const problems = said(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join('\n')).not.toContain('zebra');
  });

  test('appear in no printed settings', () => {
    const settings = loadSettings(
      write('secret.yaml', `name: g\nmqtt: {url: mqtt://h, username: u, password: ${secret}}`),
    );
    expect(settings.mqtt?.password?.reveal()).toBe(secret);
    for (const shown of [
      printSettings(settings),
      JSON.stringify(settings),
      inspect(settings, { depth: 9, showHidden: true }),
      `${settings.mqtt?.password}`,
    ]) {
      expect(shown).toContain('(hidden)');
      expect(shown).not.toContain('zebra');
    }
  });

  test('in files that everyone can read lead to warnings, no errors', () => {
    write('open-pw', secret, 0o644);
    const client = makeClient();
    write('open-key', client.keyPem, 0o604);
    write('c.pem', client.pem, 0o644);
    const path = write(
      'open.yaml',
      'name: g\nmqtt: {url: mqtts://h, username: u, passwordFile: open-pw, certFile: c.pem, keyFile: open-key}',
    );
    const warnings: Problem[] = [];
    loadSettings(path, (problem) => warnings.push(problem));
    expect(warnings.map(({ path: at, severity }) => [severity, at])).toEqual([
      ['warning', 'mqtt.passwordFile'],
      ['warning', 'mqtt.keyFile'],
    ]);
    expect(formatProblem(warnings[0]!)).toContain('warning: ');
    write('open-pw', secret, 0o640);
    write('open-key', client.keyPem, 0o600);
    expect(checkSettings('name: g\nmqtt: {url: mqtts://h, username: u, passwordFile: open-pw}', path)).toEqual([]);
    const inline = write('inline.yaml', 'name: g\nmqtt: {url: mqtt://h, username: u, password: x}', 0o644);
    const told: Problem[] = [];
    loadSettings(inline, (problem) => told.push(problem));
    expect(told.map(({ path: at }) => at)).toEqual(['mqtt.password']);
  });
});

describe('the file that init writes', () => {
  test('validates as it stands', () => {
    expect(checkSettings(annotatedSettings(), 'x.yaml')).toEqual([]);
  });

  test('validates with what init knows', () => {
    const text = annotatedSettings({ name: 'west-7', links: ['unix:/run/m1.sock'], mqttUrl: 'mqtts://b.example' });
    const settings = loadSettings(write('init.yaml', text));
    expect(settings).toMatchObject({
      name: 'west-7',
      links: ['unix:/run/m1.sock'],
      mqtt: { url: 'mqtts://b.example' },
    });
  });

  test('still reads and holds known settings only when every line is uncommented', () => {
    const text = annotatedSettings()
      .split('\n')
      .map((line) => line.replace(/^#( *)(?=[A-Za-z]+:|- )/, '$1'))
      .join('\n')
      .replaceAll('mqtt://localhost', 'mqtts://localhost');
    const errors = checkSettings(text, 'x.yaml', { files: false }).map(({ path }) => path);
    // Password and passwordFile exclude each other, key and token too, and so they are told; nothing else is.
    expect(errors).toEqual(['mqtt.password', 'ocmf.tokenModule']);
  });
});

test('docs/settings.md and docs/meter-settings.md are what the schemas say (vitest -u writes them anew)', async () => {
  await expect(settingsReference()).toMatchFileSnapshot('../../docs/settings.md');
  await expect(meterSettingsReference()).toMatchFileSnapshot('../../docs/meter-settings.md');
});

test.each([
  ['keep_alive', 'keepAliveSeconds'],
  ['usrename', 'username'],
  ['PasswordFile', 'passwordFile'],
  ['xyzzy', undefined],
])('suggests for %s: %s', (word, meant) => {
  expect(suggest(word, ['url', 'username', 'password', 'passwordFile', 'keepAliveSeconds'])).toBe(meant);
});
