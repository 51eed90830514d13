// mosquitto as the MQTT 5 broker of the lab, on loopback.
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { debianTool } from '../../scripts/debian.mjs';
import { type IssuedCertificate, type LabCa, writeCertificate } from './lab-ca.ts';
import { currentUser, freePorts, LabServer, LabServerError, makeFolder } from './lab-server.ts';
import { accepts } from './probe.mjs';

export interface MosquittoOptions {
  /** Adds a TLS listener; the certificate is issued for localhost, 127.0.0.1 and ::1 unless one is given. */
  readonly tls?: { readonly ca: LabCa; readonly certificate?: IssuedCertificate };
  /** Passwords by user name; without them anyone may connect. */
  readonly users?: Readonly<Record<string, string>>;
  /** Lines of an access control list: what a user may read and write. */
  readonly acl?: readonly string[];
  /** Whether sessions and retained messages survive a restart; by default no. */
  readonly persistence?: boolean;
  /** Further lines of mosquitto.conf. */
  readonly extraConfig?: readonly string[];
  readonly port?: number;
  readonly tlsPort?: number;
}

/** A running mosquitto: plain MQTT at 127.0.0.1:port, and with TLS at localhost:tlsPort. */
export class Mosquitto extends LabServer {
  constructor(
    options: ConstructorParameters<typeof LabServer>[0],
    readonly port: number,
    readonly tlsPort: number | undefined,
  ) {
    super(options);
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  /** Undefined without a TLS listener. */
  get tlsUrl(): string | undefined {
    return this.tlsPort === undefined ? undefined : `mqtts://localhost:${this.tlsPort}`;
  }
}

/**
 * Starts mosquitto and waits until it takes connections.
 * @throws {LabServerError}
 */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const [freePort, freeTlsPort] = await freePorts(2);
  const port = options.port ?? freePort!;
  const tlsPort = options.tls ? (options.tlsPort ?? freeTlsPort!) : undefined;
  const folder = makeFolder('mosquitto');
  const lines = [
    `user ${currentUser()}`,
    'per_listener_settings false',
    'log_dest stderr',
    'log_type all',
    `listener ${port} 127.0.0.1`,
  ];
  if (options.tls) {
    const request = { names: ['localhost', '127.0.0.1', '::1'] };
    const issued = options.tls.certificate ?? (await options.tls.ca.issue(request));
    const files = await writeCertificate(folder, 'server', issued);
    lines.push(`listener ${tlsPort} 127.0.0.1`, `certfile ${files.certificate}`, `keyfile ${files.key}`);
  }
  if (options.users) {
    const file = join(folder, 'passwords');
    await writePasswords(file, options.users);
    lines.push('allow_anonymous false', `password_file ${file}`);
  } else {
    lines.push('allow_anonymous true');
  }
  if (options.acl) {
    const file = join(folder, 'acl');
    writeFileSync(file, `${options.acl.join('\n')}\n`, { mode: 0o600 });
    lines.push(`acl_file ${file}`);
  }
  if (options.persistence) {
    const data = join(folder, 'data');
    mkdirSync(data, { mode: 0o700 });
    // Written at each change: a broker that is killed keeps what it acknowledged.
    lines.push('persistence true', `persistence_location ${data}/`, 'autosave_on_changes true', 'autosave_interval 1');
  }
  lines.push(...(options.extraConfig ?? []));
  const config = join(folder, 'mosquitto.conf');
  writeFileSync(config, `${lines.join('\n')}\n`);
  const broker = new Mosquitto(
    {
      name: 'mosquitto',
      tool: 'mosquitto',
      args: ['-c', config],
      folder,
      ready: async () => (await accepts('127.0.0.1', port)) && (!tlsPort || (await accepts('127.0.0.1', tlsPort))),
    },
    port,
    tlsPort,
  );
  await broker.start();
  return broker;
}

/** Writes mosquitto's hashed password file; the passwords are the lab's own, so a command line may carry them. */
async function writePasswords(file: string, users: Readonly<Record<string, string>>): Promise<void> {
  const tool = debianTool('mosquitto_passwd');
  if (!tool.ok) throw new LabServerError('tool-missing', tool.reason);
  writeFileSync(file, '', { mode: 0o600 });
  const env = { ...process.env, ...tool.env };
  for (const [user, password] of Object.entries(users)) {
    await promisify(execFile)(tool.path, ['-b', file, user, password], { env });
  }
}
