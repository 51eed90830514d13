// From the URL of a link to its transport: one that connects, or a listener that gives one for each meter.
import type { AcceptLimits } from './accepted-links.ts';
import { parseLinkUrl } from './link-url.ts';
import { connectSerial } from './serial-transport.ts';
import { connectSocket, LinkListener } from './socket-transport.ts';
import type { LinkTransport } from './transport.ts';

export type { AcceptLimits } from './accepted-links.ts';
export { FaultyTransport } from './faults.ts';
export { type LinkAddress, LinkUrlError, parseLinkUrl } from './link-url.ts';
export { createPair } from './pair-transport.ts';
export { listSerialPorts, type SerialPortInfo } from './serial-transport.ts';
export { LinkListener } from './socket-transport.ts';
export { LinkError, LinkTransport } from './transport.ts';

/**
 * Makes the transport or listener of a URL; nothing is opened before its `start`. `limits` are those of a listener.
 * @throws LinkUrlError
 */
export function openLink(url: string, limits?: Partial<AcceptLimits>): LinkTransport | LinkListener {
  const address = parseLinkUrl(url);
  switch (address.kind) {
    case 'serial':
      return connectSerial(address);
    case 'tcp':
    case 'unix':
      return connectSocket(address);
    case 'tcp-listen':
    case 'unix-listen':
      return new LinkListener(address, limits);
  }
}
