// URLs of links: one reading of them, for the settings and for what opens them.
import { describe, expect, test } from 'vitest';
import { checkSettings } from '../../../host/config/settings.ts';
import { LinkUrlError, openLink, parseLinkUrl } from '../../../host/link/transports.ts';

describe('taken apart', () => {
  test.each([
    ['serial:/dev/ttyUSB0', { kind: 'serial', path: '/dev/ttyUSB0', baud: 115_200 }],
    ['serial:/dev/ttyS1?baud=9600', { kind: 'serial', path: '/dev/ttyS1', baud: 9600 }],
    ['serial:/dev/x?baud=1200', { kind: 'serial', path: '/dev/x', baud: 1_200 }],
    ['serial:/dev/x?baud=4000000', { kind: 'serial', path: '/dev/x', baud: 4_000_000 }],
    ['tcp://192.0.2.7:4059', { kind: 'tcp', host: '192.0.2.7', port: 4059 }],
    ['tcp://Meter_7.example:4059/', { kind: 'tcp', host: 'Meter_7.example', port: 4059 }],
    ['tcp://[fe80::1%eth0]:1', { kind: 'tcp', host: 'fe80::1%eth0', port: 1 }],
    ['tcp-listen://[::1]:4059', { kind: 'tcp-listen', host: '::1', port: 4059 }],
    ['tcp-listen://0.0.0.0:0', { kind: 'tcp-listen', host: '0.0.0.0', port: 0 }],
    ['unix:/run/a b.sock', { kind: 'unix', path: '/run/a b.sock' }],
    ['unix-listen:/run/m.sock', { kind: 'unix-listen', path: '/run/m.sock' }],
    ['unix:/tmp/100%#1/%41%zz', { kind: 'unix', path: '/tmp/100%#1/%41%zz' }],
    ['serial:/dev/by-id/a%20b#c', { kind: 'serial', path: '/dev/by-id/a%20b#c', baud: 115_200 }],
  ])('%s', (url, address) => expect(parseLinkUrl(url)).toEqual(address));
});

describe('refused', () => {
  test.each([
    ['serial:', 'whole path'],
    ['serial:ttyUSB0', 'whole path'],
    ['serial:///dev/ttyUSB0', 'one slash'],
    ['serial:/dev/x?', 'nothing but a baud rate'],
    ['serial:/dev/x?bauds=1', 'nothing but a baud rate'],
    ['serial:/dev/x?baud=9600&baud=300', 'nothing but a baud rate'],
    ['serial:/dev/x?parity=e', 'nothing but a baud rate'],
    ['serial:/dev/x?baud=fast', 'from 1200 to 4000000'],
    ['serial:/dev/x?baud=1199', 'from 1200 to 4000000'],
    ['serial:/dev/x?baud=4000001', 'from 1200 to 4000000'],
    ['serial:/dev/x?baud=0009600', 'from 1200 to 4000000'],
    ['tcp://host', 'a host and a port'],
    ['tcp://host:0', 'a host and a port'],
    ['tcp://host:70000', 'a host and a port'],
    ['tcp:host:1', 'a host and a port'],
    ['tcp://u:p@host:1', 'a host and a port'],
    ['tcp://host:1/path', 'a host and a port'],
    ['tcp://:1', 'a host and a port'],
    ['tcp://::1:4059', 'a host and a port'],
    ['tcp://[::g]:1', 'in brackets'],
    ['tcp://[host]:1', 'in brackets'],
    ['tcp://256.0.0.1:1', 'a name or an address'],
    ['tcp://1.2.3:1', 'a name or an address'],
    ['tcp://a..b:1', 'a name or an address'],
    ['tcp://a b:1', 'a name or an address'],
    ['tcp://%41:1', 'a name or an address'],
    ['unix:', 'whole path'],
    ['unix:/', 'whole path'],
    ['unix-listen:m1.sock', 'whole path'],
    ['unix:///run/m1.sock', 'one slash'],
    ['unix:/tmp/\0', 'whole path'],
    ['unix:/tmp/a?b=c', 'without a ?'],
    [`unix:/${'x'.repeat(107)}`, '107 bytes'],
    [`unix:/${'ä'.repeat(54)}`, '107 bytes'],
    ['http://x', 'serial:PATH'],
    ['/dev/ttyUSB0', 'serial:PATH'],
    ['', 'serial:PATH'],
  ])('%j', (url, expected) => {
    expect(() => parseLinkUrl(url)).toThrow(LinkUrlError);
    expect(() => openLink(url)).toThrow(/^the link ".*" cannot be: expected /);
    expect(() => openLink(url)).toThrow(expected);
    // The settings refuse it for the same reason, and say where it stands.
    const [problem] = checkSettings(`name: g\nlinks:\n  - ${JSON.stringify(url)}\n`, 'gw.yaml');
    expect(problem).toMatchObject({ severity: 'error', path: 'links[1]', line: 3, column: 5 });
    expect(problem!.message).toContain(expected);
  });

  test('without the password that stands in it', () => {
    expect(() => openLink('tcp://user:zebra@host:1')).toThrow(/^((?!zebra).)*$/);
  });
});

test('a path of any length that a socket can have', () => {
  expect(parseLinkUrl(`unix:/${'x'.repeat(106)}`)).toEqual({ kind: 'unix', path: `/${'x'.repeat(106)}` });
});
