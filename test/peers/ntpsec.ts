// NTPsec's ntpd as an NTS time server. Its ports are fixed (NTP 123, NTS-KE 4460), so it runs in a network namespace;
// clients run there too: `namespace.wrap(argv)`.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type IssuedCertificate, type LabCa, writeCertificate } from '../../host/setup/lab-ca.ts';
import { LabServer, makeFolder } from '../../host/setup/lab-server.ts';
import type { KeRecord, NtpAnswer } from '../../host/setup/probe.mjs';
import { NetworkNamespace } from './namespace.ts';

const probe = fileURLToPath(new URL('../../host/setup/probe.mjs', import.meta.url));

export interface NtpsecOptions {
  /** Issues the server's certificate for localhost and 127.0.0.1. */
  readonly ca: LabCa;
  readonly certificate?: IssuedCertificate;
  /** A namespace of the caller's, which then also ends it. */
  readonly namespace?: NetworkNamespace;
  /** Further lines of ntp.conf. */
  readonly extraConfig?: readonly string[];
}

/** A running ntpd: inside `namespace`, NTS-KE at 127.0.0.1:4460 and NTP at 127.0.0.1:123. */
export class Ntpsec extends LabServer {
  readonly address = '127.0.0.1';
  readonly kePort = 4460;
  readonly ntpPort = 123;

  constructor(
    options: ConstructorParameters<typeof LabServer>[0],
    readonly namespace: NetworkNamespace,
    private readonly ownsNamespace: boolean,
    /** The trust anchor's file. */
    readonly caFile: string,
  ) {
    super(options);
  }

  override async stop(): Promise<void> {
    await super.stop();
    if (this.ownsNamespace) await this.namespace.stop();
  }

  /** One plain NTP query from inside the namespace. */
  async probeNtp(): Promise<NtpAnswer> {
    return JSON.parse(await this.run(probe, 'ntp', this.address, String(this.ntpPort)));
  }

  /** One key establishment from inside the namespace. */
  async probeNtsKe(): Promise<{ protocol: string; alpn: string; records: KeRecord[] }> {
    const answer = JSON.parse(await this.run(probe, 'ke', this.address, String(this.kePort), this.caFile));
    return {
      ...answer,
      records: answer.records.map((record: KeRecord) => ({ ...record, body: Buffer.from(record.body) })),
    };
  }

  private async run(...args: string[]): Promise<string> {
    const [command = '', ...rest] = this.namespace.wrap([process.execPath, ...args]);
    return (await promisify(execFile)(command, rest)).stdout;
  }
}

/**
 * Starts ntpd and waits until it serves time over NTP.
 * @throws {LabServerError}
 */
export async function startNtpsec(options: NtpsecOptions): Promise<Ntpsec> {
  const folder = makeFolder('ntpsec');
  const issued = options.certificate ?? (await options.ca.issue({ names: ['localhost', '127.0.0.1'] }));
  const files = await writeCertificate(folder, 'server', issued);
  const caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, options.ca.certificatePem);
  const config = join(folder, 'ntp.conf');
  writeFileSync(
    config,
    `${[
      'disable ntp',
      // A local reference clock never serves usable time; a server without sources in orphan mode does.
      'tos orphan 1 orphanwait 1',
      'nts enable',
      `nts cert ${files.certificate}`,
      `nts key ${files.key}`,
      `nts cookie ${join(folder, 'cookies')}`,
      'interface ignore all',
      'interface listen lo',
      'restrict default kod limited nomodify noquery',
      'restrict 127.0.0.1',
      ...(options.extraConfig ?? []),
    ].join('\n')}\n`,
  );
  const namespace = options.namespace ?? (await NetworkNamespace.create());
  const server: Ntpsec = new Ntpsec(
    {
      name: 'ntpsec',
      tool: 'ntpd',
      args: ['-n', '-c', config, '-l', '/dev/stderr'],
      folder,
      wrap: (argv) => namespace.wrap(argv),
      ready: async () => {
        const { leap, mode } = await server.probeNtp();
        return leap !== 3 && mode === 4;
      },
      readyTimeoutMs: 30_000,
    },
    namespace,
    options.namespace === undefined,
    caFile,
  );
  try {
    await server.start();
  } catch (error) {
    if (options.namespace === undefined) await namespace.stop();
    throw error;
  }
  return server;
}
