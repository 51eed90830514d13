// A whole meter as a process of this machine: board-whole.ts says what is looked at. Its requests leave from sockets of its
// own, and none through its gateway.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, type MockInstance, vi } from 'vitest';
import { UdpSockets } from '../../host/gateway/udp-sockets.ts';
import { until } from '../../host/setup/until.ts';
import { testWholeBoard } from './board-whole.ts';

// The compiler is that of native fuzzing.
describe.skipIf(process.env.METERTIME_NATIVE_FUZZ === 'skip')('a process', () => {
  let sent: MockInstance;
  beforeAll(() => {
    sent = vi.spyOn(UdpSockets.prototype, 'send');
  });
  afterAll(() => {
    expect(sent).not.toHaveBeenCalled();
    sent.mockRestore();
  });
  testWholeBoard('posix', async ({ meter, server }) => {
    const { pid } = meter.emulator!;
    const ports = new Set<number>();
    await until('requests from several ports', async () => {
      for (const { localPort, remotePort } of socketsOf(pid)) if (remotePort === server.ntpPort) ports.add(localPort);
      return ports.size >= 3;
    });
  });
});

/** UDP sockets over IPv4 that a process has open (proc(5), /proc/net/udp). */
function socketsOf(pid: number): { readonly localPort: number; readonly remotePort: number }[] {
  const folder = `/proc/${pid}/fd`;
  const own = new Set(readdirSync(folder).map((fd) => linkOf(join(folder, fd))));
  const lines = readFileSync('/proc/net/udp', 'latin1').trim().split('\n').slice(1);
  return lines.flatMap((line) => {
    const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/);
    const port = (address: string | undefined) => Number.parseInt(address!.split(':')[1]!, 16);
    return own.has(`socket:[${inode}]`) ? [{ localPort: port(local), remotePort: port(remote) }] : [];
  });
}

// It may be closed by now.
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
