// chronyd as an NTS time server on loopback, from the machine's own clock, which it never touches (-x).
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type IssuedCertificate, type LabCa, writeCertificate } from './lab-ca.ts';
import { currentUser, freePorts, LabServer, makeFolder } from './lab-server.ts';
import { accepts, probeNtp } from './probe.mjs';

export interface ChronydOptions {
  /** Issues the server's certificate for localhost, 127.0.0.1 and ::1. */
  readonly ca: LabCa;
  /** A certificate of the caller's instead, such as an expired one. */
  readonly certificate?: IssuedCertificate;
  /** By default 1; the answer's stratum. */
  readonly stratum?: number;
  /** Further lines of chrony.conf. */
  readonly extraConfig?: readonly string[];
  readonly ntpPort?: number;
  readonly kePort?: number;
  /** The address it serves, by default 127.0.0.1. */
  readonly address?: string;
  /** For messages, when there are several. */
  readonly name?: string;
}

/** A running chronyd: NTS-KE at `address:kePort`, NTP at `address:ntpPort`. */
export class Chronyd extends LabServer {
  constructor(
    options: ConstructorParameters<typeof LabServer>[0],
    readonly address: string,
    readonly kePort: number,
    readonly ntpPort: number,
  ) {
    super(options);
  }
}

/**
 * Starts chronyd and waits until it answers NTS-KE and NTP.
 * @throws {LabServerError}
 */
export async function startChronyd(options: ChronydOptions): Promise<Chronyd> {
  const name = options.name ?? 'chronyd';
  const address = options.address ?? '127.0.0.1';
  const [freeNtp, freeKe] = await freePorts(2);
  const ntpPort = options.ntpPort ?? freeNtp!;
  const kePort = options.kePort ?? freeKe!;
  const folder = makeFolder(name);
  const issued = options.certificate ?? (await options.ca.issue({ names: ['localhost', '127.0.0.1', '::1'] }));
  const files = await writeCertificate(folder, 'server', issued);
  const config = join(folder, 'chrony.conf');
  writeFileSync(
    config,
    `${[
      `local stratum ${options.stratum ?? 1}`,
      `bindaddress ${address}`,
      `port ${ntpPort}`,
      'allow 127.0.0.0/8',
      'allow ::1/128',
      `ntsport ${kePort}`,
      `ntsservercert ${files.certificate}`,
      `ntsserverkey ${files.key}`,
      `ntsdumpdir ${folder}`,
      'ntsprocesses 1',
      'cmdport 0',
      `bindcmdaddress ${join(folder, 'chronyd.sock')}`,
      `pidfile ${join(folder, 'chronyd.pid')}`,
      ...(options.extraConfig ?? []),
    ].join('\n')}\n`,
  );
  const server = new Chronyd(
    {
      name,
      tool: 'chronyd',
      // -d: in the foreground; -x: never touch the clock; -U: start without root; -u: stay this user.
      args: ['-d', '-x', '-U', '-u', currentUser(), '-f', config],
      folder,
      ready: async () => {
        const { leap, mode } = await probeNtp(address, ntpPort);
        return leap !== 3 && mode === 4 && (await accepts(address, kePort));
      },
    },
    address,
    kePort,
    ntpPort,
  );
  await server.start();
  return server;
}
