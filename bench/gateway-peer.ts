// The peer: publishes what a gateway has published in a minute, at the same moments and with the same bytes, over the same
// client and connection; without meters, without an outbox, without making anything.
// What always holds: a message that is due while others wait goes when these have gone, as in the gateway.
import { readFileSync } from 'node:fs';
import { deserialize } from 'node:v8';
import { BrokerConnection, type Publication } from '../host/mqtt/connection.ts';

/** A message and when it came, ms from the begin. */
export interface Sample extends Publication {
  readonly afterMs: number;
}

export interface PeerOptions {
  readonly url: string;
  /** Holds the samples, as v8 serialises them. */
  readonly file: string;
}

/** Says `ready`, publishes everything when it is told to, says `done`. */
export async function runPeer({ url, file }: PeerOptions): Promise<void> {
  const samples = deserialize(readFileSync(file)) as Sample[];
  const settings = { url, clientId: 'bench-peer', keepAliveSeconds: 30, willDelaySeconds: 0 };
  const connection = new BrokerConnection({
    settings: settings as ConstructorParameters<typeof BrokerConnection>[0]['settings'],
    will: { topic: 'peer/state', payload: new Uint8Array(0), properties: {} },
    report: ({ level, message }) => {
      if (level === 'error') throw new Error(message);
    },
    onUp: () => process.send?.('ready'),
    onDown: () => {},
  });
  connection.start();
  await new Promise((resolve) => process.once('message', resolve));
  const startMs = performance.now();
  const underWay: Promise<number>[] = [];
  for (const { afterMs, ...publication } of samples) {
    const waitMs = startMs + afterMs - performance.now();
    if (waitMs >= 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
    underWay.push(connection.publish(publication));
  }
  const reasonCodes = await Promise.all(underWay);
  await connection.stop();
  process.send?.({ refused: reasonCodes.filter((code) => code >= 0x80).length });
}
